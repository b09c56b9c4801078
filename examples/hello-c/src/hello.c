#include "cryptlet.h"

enum { WORD = 32 };
static const uint8_t LARGEST[4] = {0x9a, 0x22, 0xab, 0x91}; /* largest(uint256[]) */
static const uint8_t ERROR_STRING[4] = {0x08, 0xc3, 0x79, 0xa0}; /* Error(string) */

static bool equal(const uint8_t *a, const uint8_t *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/* Numbers are big-endian words. */
static bool less(const uint8_t *a, const uint8_t *b) {
    for (size_t i = 0; i < WORD; i++) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

static void put(uint8_t *word, uint32_t number) {
    for (int i = 0; i < 4; i++) word[WORD - 1 - i] = (uint8_t)(number >> (8 * i));
}

/* A word as an offset or a length; false if it is larger than any input. */
static bool get(const uint8_t *word, size_t *number) {
    for (size_t i = 0; i < WORD - 4; i++) {
        if (word[i] != 0) return false;
    }
    *number = (size_t)word[28] << 24 | (size_t)word[29] << 16 | (size_t)word[30] << 8 | word[31];
    return true;
}

static bool refuse(const char *reason, bytes *output) {
    size_t size = 0;
    while (reason[size] != 0) size++;
    size_t padded = (size + WORD - 1) / WORD * WORD;
    *output = (bytes){allocate(4 + 2 * WORD + padded), 4 + 2 * WORD + padded};
    for (size_t i = 0; i < 4; i++) output->at[i] = ERROR_STRING[i];
    put(output->at + 4, WORD);
    put(output->at + 4 + WORD, (uint32_t)size);
    for (size_t i = 0; i < size; i++) output->at[4 + 2 * WORD + i] = (uint8_t)reason[i];
    return false;
}

bool answer(bytes input, bytes *output) {
    if (input.size < 4 || !equal(input.at, LARGEST, 4)) return refuse("the cryptlet answers largest(uint256[])", output);
    const uint8_t *arguments = input.at + 4;
    size_t size = input.size - 4, offset, count;
    if (size < WORD || !get(arguments, &offset) || offset > size || size - offset < WORD || !get(arguments + offset, &count) ||
        count > (size - offset - WORD) / WORD) {
        return refuse("largest(uint256[]): malformed ABI encoding", output);
    }
    if (count == 0) return refuse("there are no values", output);

    const uint8_t *values = arguments + offset + WORD;
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        if (less(values + best * WORD, values + i * WORD)) best = i;
    }
    *output = (bytes){allocate(2 * WORD), 2 * WORD};
    for (size_t i = 0; i < WORD; i++) output->at[i] = values[best * WORD + i];
    put(output->at + WORD, (uint32_t)best);
    return true;
}
