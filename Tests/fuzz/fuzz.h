/* What the fuzz targets share. A target is one function, run by libFuzzer (scripts/fuzz) or, on the
 * inputs that once found something, by replay.c (ctest). */
#ifndef CAROUSEL_FUZZ_H
#define CAROUSEL_FUZZ_H

#include <carousel.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* libFuzzer's own mutation. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);

/* Ends the process with a message if an invariant does not hold; the message has the library's last
 * error. */
#define MUST(condition) must((condition) != 0, #condition, __FILE__, __LINE__)
void must(int holds, const char *text, const char *file, int line);

/* Reads decisions from the input; after its end everything is 0. */
typedef struct bytes {
    const uint8_t *data;
    size_t size;
} bytes;
uint32_t next_number(bytes *input, size_t width); /* little-endian, 1 to 4 bytes */
uint32_t next_choice(bytes *input, uint32_t count); /* 0 to count - 1; 0 if count is 0 */

/* The path of a file in memory with these bytes, valid until the next call for the same `slot`
 * (0 to 3). */
const char *memory_file(int slot, const void *data, size_t size);
/* A path in a folder of this process's own, in memory where the system has such a folder. Static. */
const char *scratch_path(const char *name);

/* Makes checksums right that would keep mutated files out: the seal of our own files, the CRCs of
 * stored members of zip archives. */
void repair_checksums(uint8_t *data, size_t size);

/* Replaces, deletes, doubles or exchanges tokens of a JSON text, in place; the new size. */
size_t mutate_json(char *text, size_t size, size_t capacity, uint32_t random);

/* Everything that a host does with a file that it was given. */
void use_file(const char *path, uint32_t variant);
/* Everything that a host does with a network that it was given, and what must hold of any. */
void use_network(carousel_network *network, uint32_t variant);

#endif
