#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void must(int holds, const char *text, const char *file, int line) {
    if (holds) return;
    fprintf(stderr, "%s:%d: does not hold: %s\n  last error: %s\n", file, line, text,
            carousel_last_error_message());
    abort();
}

uint32_t next_number(bytes *input, size_t width) {
    uint32_t number = 0;
    size_t i;
    for (i = 0; i < width && input->size > 0; i++) {
        number |= (uint32_t)*input->data << (8 * i);
        input->data++;
        input->size--;
    }
    return number;
}

uint32_t next_choice(bytes *input, uint32_t count) {
    if (count == 0) return 0;
    return next_number(input, count > 0x10000 ? 4 : count > 0x100 ? 2 : 1) % count;
}

const char *memory_file(int slot, const void *data, size_t size) {
    static int descriptors[4];
    static char paths[4][40];
    int *descriptor = &descriptors[slot];
    size_t written = 0;
    if (*descriptor == 0) {
        *descriptor = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(*descriptor > 0);
        snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", *descriptor);
    }
    MUST(ftruncate(*descriptor, 0) == 0);
    while (written < size) {
        ssize_t count = pwrite(
            *descriptor, (const char *)data + written, size - written, (off_t)written);
        MUST(count > 0);
        written += (size_t)count;
    }
    return paths[slot];
}

static char folder[64];

static void remove_folder(void) {
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command)) fprintf(stderr, "%s is left\n", folder);
}

const char *scratch_path(const char *name) {
    static char path[128];
    if (!folder[0]) {
        struct stat status;
        const char *parent = stat("/dev/shm", &status) == 0 ? "/dev/shm" : "/tmp";
        snprintf(folder, sizeof folder, "%s/carousel-fuzz-XXXXXX", parent);
        MUST(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static uint32_t crc32_of(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    size_t i;
    int bit;
    for (i = 0; i < size; i++) {
        crc ^= data[i];
        for (bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static uint32_t load(const uint8_t *data, size_t width) {
    bytes input = {data, width};
    return next_number(&input, width);
}

static void store(uint8_t *data, uint32_t value) {
    int i;
    for (i = 0; i < 4; i++) data[i] = (uint8_t)(value >> (8 * i));
}

/* Walks the central directory, whose entries say where each member's header is. */
static void repair_zip(uint8_t *data, size_t size) {
    size_t end = size, at;
    unsigned count, i;
    if (size < 22) return;
    for (end = size - 22; end > 0 && load(data + end, 4) != 0x06054b50; end--) {}
    if (load(data + end, 4) != 0x06054b50) return;
    at = load(data + end + 16, 4);
    count = load(data + end + 10, 2);
    for (i = 0; i < count && at < size && size - at >= 46; i++) {
        size_t header = load(data + at + 42, 4);
        size_t stored = load(data + at + 20, 4);
        if (load(data + at, 4) != 0x02014b50) return;
        if (load(data + at + 10, 2) == 0 && header < size && size - header >= 30 &&
            load(data + header, 4) == 0x04034b50) {
            size_t start = header + 30 + load(data + header + 26, 2) + load(data + header + 28, 2);
            if (start <= size && stored <= size - start) {
                uint32_t crc = crc32_of(data + start, stored);
                store(data + at + 16, crc);
                store(data + header + 14, crc);
            }
        }
        at += 46 + load(data + at + 28, 2) + load(data + at + 30, 2) + load(data + at + 32, 2);
    }
}

void repair_checksums(uint8_t *data, size_t size) {
    if (size > 16 && memcmp(data + size - 16, "CarouselSeal", 12) == 0)
        store(data + size - 4, crc32_of(data, size - 16));
    if (size > 4 && load(data, 4) == 0x04034b50) repair_zip(data, size);
}
