/* A program that opens and closes the library, and a second copy of it under another name, a hundred times,
 * while threads of both exist and after libhdf5 was used: all calls work each time, and nothing grows.
 * This program is not linked to the library.
 *
 *   test-unload LIBRARY FOLDER */
#define _GNU_SOURCE
#include "process_memory.h"

#include <carousel.h>

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;

#define FUNCTION(library, name) name##_type name##_; *(void **)&name##_ = dlsym(library, #name)
typedef carousel_status (*carousel_network_from_json_type)(
    const char *, carousel_dtype, uint64_t, carousel_network **);
typedef carousel_status (*carousel_network_forward_type)(
    carousel_network *, const float *, int64_t, int64_t, float *, size_t);
typedef carousel_status (*carousel_network_save_type)(
    const carousel_network *, const char *, const carousel_save_options *);
typedef carousel_status (*carousel_network_load_type)(
    const char *, const carousel_load_options *, carousel_network **);
typedef void (*carousel_network_free_type)(carousel_network *);
typedef const char *(*carousel_last_error_message_type)(void);

static const char json[] =
    "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"n\", \"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, null, 3], "
    "\"dtype\": \"float32\", \"name\": \"i\"}},"
    "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"l\", \"units\": 32}}]}, "
    "\"keras_version\": \"2.15.0\", \"backend\": \"tensorflow\"}";

enum { BATCH = 64, TIME = 20 };

/* 1: everything worked. */
static int use(const char *path, int closes, float *output) {
    static float input[BATCH * TIME * 3];
    char file[1100];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    carousel_network *network = NULL, *loaded = NULL;
    int good, i;
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
    {
        FUNCTION(library, carousel_network_from_json);
        FUNCTION(library, carousel_network_forward);
        FUNCTION(library, carousel_network_save);
        FUNCTION(library, carousel_network_load);
        FUNCTION(library, carousel_network_free);
        FUNCTION(library, carousel_last_error_message);
        for (i = 0; i < BATCH * TIME * 3; i++) input[i] = (float)(i % 7) / 7;
        snprintf(file, sizeof file, "%s/unload.h5", folder);
        good = !carousel_network_from_json_(json, CAROUSEL_FLOAT32, 1, &network) &&
               !carousel_network_forward_(network, input, BATCH, TIME, output, BATCH * 32) &&
               !carousel_network_save_(network, file, NULL) &&
               !carousel_network_load_(file, NULL, &loaded) &&
               !carousel_network_forward_(loaded, input, BATCH, TIME, output, BATCH * 32);
        if (!good) fprintf(stderr, "%s\n", carousel_last_error_message_());
        /* A handle of the other copy is no handle of this one. */
        carousel_network_free_((carousel_network *)output);
        carousel_network_free_(network);
        carousel_network_free_(loaded);
        remove(file);
    }
    if (closes && dlclose(library)) good = 0;
    return good;
}

static int lines_of(const char *path) {
    FILE *file = fopen(path, "r");
    int c, lines = 0;
    while (file && (c = fgetc(file)) != EOF) lines += c == '\n';
    if (file) fclose(file);
    return lines;
}

static int threads(void) {
    DIR *stream = opendir("/proc/self/task");
    int number = 0;
    while (stream && readdir(stream)) number++;
    if (stream) closedir(stream);
    return number;
}

static int copy_file(const char *from, const char *to) {
    static char block[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t count;
    int good = in && out;
    while (good && (count = fread(block, 1, sizeof block, in)) > 0)
        good = fwrite(block, 1, count, out) == count;
    if (in) fclose(in);
    if (out && fclose(out)) good = 0;
    return good;
}

int main(int count, char **arguments) {
    static float first[BATCH * 32], output[BATCH * 32];
    char copy[1100];
    int round, maps = 0, tasks = 0, failed = 0;
    long pages = 0;
    if (count < 3) return 2;
    folder = arguments[2];
    snprintf(copy, sizeof copy, "%s/libother.so", folder);
    if (!copy_file(arguments[1], copy)) return 1;
    failed += !use(arguments[1], 1, first);
    for (round = 0; round < 100; round++) {
        const char *path = round % 2 ? arguments[1] : copy;
        if (!use(path, round != 3, output) || memcmp(first, output, sizeof first)) {
            failed++;
            fprintf(stderr, "round %d\n", round);
        }
        if (round == 20) {
            maps = lines_of("/proc/self/maps");
            tasks = threads();
            pages = resident();
        }
    }
    printf("100 rounds: %d failed; %d mappings, %d threads and %ld pages more after the 20th\n", failed,
           lines_of("/proc/self/maps") - maps, threads() - tasks, resident() - pages);
    failed += lines_of("/proc/self/maps") > maps + 2;
    failed += threads() != tasks;
    failed += resident() > pages + 256;
    remove(copy);
    return failed != 0;
}
