/* A cryptlet in C, without tools: the world of wit/cryptlet.wit by hand.
 *
 * The author writes `answer`; everything else here is the canonical ABI of the component model. A fresh instance serves each call, so
 * memory is never given back. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *at;
    size_t size;
} bytes;

/* Answers one call: `input` is selector and arguments, the result goes to `output`: encoded return values, or, with `false`, revert data. */
bool answer(bytes input, bytes *output);

/* A line for the operator's log. */
__attribute__((import_module("cryptlet:fabric/host@1.0.0"), import_name("log"))) void host_log(const char *message, size_t size);

/* When the host took the call, Unix seconds. */
__attribute__((import_module("cryptlet:fabric/host@1.0.0"), import_name("observed-at"))) uint64_t host_observed_at(void);

/* Zeroed memory; traps if there is no more. */
void *allocate(size_t size);
