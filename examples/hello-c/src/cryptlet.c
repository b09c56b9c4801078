#include "cryptlet.h"

enum { PAGE = 65536 };
extern unsigned char __heap_base;
static uintptr_t next;

/* Fresh WebAssembly memory is zero, and nothing is ever reused. */
static void *bump(size_t align, size_t size) {
    if (next == 0) next = (uintptr_t)&__heap_base;
    uintptr_t start = (next + align - 1) & ~(uintptr_t)(align - 1);
    uintptr_t limit = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (start < next || size > UINTPTR_MAX - start) __builtin_trap();
    if (start + size > limit) {
        size_t pages = (start + size - limit + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) __builtin_trap();
    }
    next = start + size;
    return (void *)start;
}

void *allocate(size_t size) { return bump(8, size); }

/* The host asks for room for `input`. It never resizes what it got, so a move needs no copy. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    if (old != NULL && old_size != 0) __builtin_trap();
    return bump(align, size);
}

/* result<list<u8>, list<u8>> in memory. */
typedef struct {
    uint8_t is_error;
    bytes payload;
} result;

__attribute__((export_name("handle"))) result *handle(uint8_t *input, size_t size) {
    result *answered = allocate(sizeof(result));
    bool ok = answer((bytes){input, size}, &answered->payload);
    answered->is_error = !ok;
    return answered;
}
