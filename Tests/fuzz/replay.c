/* Runs a target on files and on all files of folders: what fuzzing once found stays a test, without
 * libFuzzer and with any compiler. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Custom mutators call it; nothing mutates here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity) {
    (void)data;
    (void)capacity;
    return size;
}

static int inputs;

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    size_t size;
    MUST(file != NULL && fseek(file, 0, SEEK_END) == 0);
    size = (size_t)ftell(file);
    rewind(file);
    data = malloc(size + 1);
    MUST(data != NULL && fread(data, 1, size, file) == size);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    inputs++;
}

int main(int count, char **paths) {
    int i, k;
    for (i = 1; i < count; i++) {
        struct stat status;
        struct dirent **entries;
        int entry_count;
        if (stat(paths[i], &status) || !S_ISDIR(status.st_mode)) {
            run_file(paths[i]);
            continue;
        }
        entry_count = scandir(paths[i], &entries, NULL, alphasort);
        MUST(entry_count >= 0);
        for (k = 0; k < entry_count; k++) {
            char path[4096];
            if (entries[k]->d_name[0] != '.') {
                snprintf(path, sizeof path, "%s/%s", paths[i], entries[k]->d_name);
                run_file(path);
            }
            free(entries[k]);
        }
        free(entries);
    }
    printf("%d inputs\n", inputs);
    return inputs == 0;
}
