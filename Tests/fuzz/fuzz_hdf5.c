/* Well-formed files that lie. An input is
 *
 *     edits (1 byte)  config bytes (2)  variant (2)  edits * 8 bytes  config  an HDF5 file
 *
 * The edits are applied to the file through libhdf5 (hdf5_edits.c); with a config the file is loaded
 * as weights of that architecture, or packed with it as a .keras archive. */
#include "fuzz.h"
#include "hdf5_edits.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 5, MOST_EDITS = 24 };

typedef struct parts {
    size_t edit_count, config_size;
    uint32_t variant;
    const uint8_t *edits, *config, *image;
    size_t image_size;
} parts;

/* 0 if the input is too short. */
static int take_apart(const uint8_t *data, size_t size, parts *found) {
    bytes input = {data, size};
    size_t edits_size;
    if (size < HEADER) return 0;
    found->edit_count = next_number(&input, 1);
    found->config_size = next_number(&input, 2);
    found->variant = next_number(&input, 2);
    edits_size = found->edit_count * EDIT_SIZE;
    if (found->edit_count > MOST_EDITS || edits_size > input.size ||
        found->config_size > input.size - edits_size)
        return 0;
    found->edits = input.data;
    found->config = found->edits + edits_size;
    found->image = found->config + found->config_size;
    found->image_size = input.size - edits_size - found->config_size;
    return 1;
}

/* ---- mutation: of the edits and the config; the file itself stays one that libhdf5 can edit ---- */

static uint32_t state;
static uint32_t draw(uint32_t count) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % count;
}

static void put(uint8_t *at, size_t number) {
    at[0] = (uint8_t)number;
    at[1] = (uint8_t)(number >> 8);
}

static size_t mutate_config(uint8_t *data, size_t size, size_t capacity, const parts *found) {
    static char text[1 << 16];
    uint8_t *config = data + (found->config - data);
    size_t limit = capacity - (size - found->config_size), length;
    if (limit > sizeof text - 1) limit = sizeof text - 1;
    memcpy(text, found->config, found->config_size);
    length = mutate_json(text, found->config_size, limit, draw(1 << 24));
    memmove(config + length, found->image, found->image_size);
    memcpy(config, text, length);
    put(data + 1, length);
    return size - found->config_size + length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    parts found;
    uint8_t *edit;
    int i;
    state = seed;
    if (!take_apart(data, size, &found)) return LLVMFuzzerMutate(data, size, capacity);
    if (found.config_size > 0 && draw(2) == 0)
        return mutate_config(data, size, capacity, &found);
    switch (draw(9)) {
    case 0:
    case 1: put(data + 3, draw(1 << 16)); return size;
    case 2: /* one edit less */
        if (found.edit_count == 0) return size;
        edit = data + HEADER + EDIT_SIZE * draw((uint32_t)found.edit_count);
        memmove(edit, edit + EDIT_SIZE, size - (size_t)(edit + EDIT_SIZE - data));
        data[0]--;
        return size - EDIT_SIZE;
    case 3: case 4: /* another edit */
        if (found.edit_count == 0) return size;
        edit = data + HEADER + EDIT_SIZE * draw((uint32_t)found.edit_count);
        edit[draw(EDIT_SIZE)] = (uint8_t)draw(256);
        return size;
    default: /* one edit more */
        if (found.edit_count == MOST_EDITS || size + EDIT_SIZE > capacity) return size;
        edit = data + HEADER + EDIT_SIZE * draw((uint32_t)found.edit_count + 1);
        memmove(edit + EDIT_SIZE, edit, size - (size_t)(edit - data));
        for (i = 0; i < EDIT_SIZE; i++) edit[i] = (uint8_t)draw(256);
        data[0]++;
        return size + EDIT_SIZE;
    }
}

/* ---- a .keras archive of stored members, with CRCs left to repair_checksums ---- */

static uint8_t *put_number(uint8_t *at, uint32_t number, int width) {
    while (width-- > 0) *at++ = (uint8_t)number, number >>= 8;
    return at;
}

/* A local header (or an entry of the central directory, if `offset` is not negative). */
static uint8_t *put_header(
    uint8_t *at, const char *name, size_t size, size_t claimed, long offset) {
    int is_central = offset >= 0;
    at = put_number(at, is_central ? 0x02014b50 : 0x04034b50, 4);
    if (is_central) at = put_number(at, 20, 2);
    at = put_number(at, 20, 4); /* version; flags 0 */
    at = put_number(at, 0, 2);  /* stored */
    at = put_number(at, 0x00210000, 4);
    at = put_number(at, 0, 4);
    at = put_number(at, (uint32_t)size, 4);
    at = put_number(at, (uint32_t)claimed, 4);
    at = put_number(at, (uint32_t)strlen(name), 2);
    at = put_number(at, 0, 2);
    if (is_central) {
        at = put_number(at, 0, 4);
        at = put_number(at, 0, 2);
        at = put_number(at, 0, 4);
        at = put_number(at, (uint32_t)offset, 4);
    }
    memcpy(at, name, strlen(name));
    return at + strlen(name);
}

static size_t pack(uint8_t *archive, const parts *found, const uint8_t *weights, size_t size) {
    static const char metadata[] = "{\"keras_version\": \"3.15.1\"}";
    const char *member[3] = {"metadata.json", "config.json", "model.weights.h5"};
    const void *content[3] = {metadata, found->config, weights};
    size_t sizes[3] = {sizeof metadata - 1, found->config_size, size}, claimed[3];
    long offset[3];
    uint8_t *at = archive, *directory;
    int i, lie = (int)(found->variant >> 12 & 7);
    memcpy(claimed, sizes, sizeof claimed);
    if (lie == 1) claimed[2] = 0xfffffff0;
    if (lie == 2) claimed[1] = sizes[1] + 100;
    if (lie == 3) member[0] = "../../metadata.json";
    if (lie == 4) member[0] = "config.json";
    if (lie == 5) member[2] = "/model.weights.h5";
    for (i = 0; i < 3; i++) {
        offset[i] = at - archive;
        at = put_header(at, member[i], sizes[i], claimed[i], -1);
        memcpy(at, content[i], sizes[i]);
        at += sizes[i];
    }
    directory = at;
    for (i = 0; i < 3; i++) at = put_header(at, member[i], sizes[i], claimed[i], offset[i]);
    size = (size_t)(at - directory);
    at = put_number(at, 0x06054b50, 4);
    at = put_number(at, 0, 4);
    at = put_number(at, 3 | 3 << 16, 4);
    at = put_number(at, (uint32_t)size, 4);
    at = put_number(at, (uint32_t)(directory - archive), 4);
    at = put_number(at, 0, 2);
    return (size_t)(at - archive);
}

static void use_with_config(const char *path, const parts *found) {
    carousel_load_options options;
    carousel_network *network = NULL;
    char *config = malloc(found->config_size + 1);
    if (!config) return;
    memcpy(config, found->config, found->config_size);
    config[found->config_size] = 0;
    CAROUSEL_INIT(options);
    options.config_json = config;
    if (carousel_network_load(path, &options, &network) == CAROUSEL_OK) {
        use_network(network, found->variant);
        carousel_network_free(network);
    }
    free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    parts found;
    uint8_t *edited, *archive;
    size_t edited_size;
    if (!take_apart(data, size, &found)) return 0;
    edited = edit_hdf5(
        found.edits, found.edit_count, found.image, found.image_size, &edited_size);
    if (!edited) return 0;
    if (found.config_size == 0) {
        use_file(memory_file(0, edited, edited_size), found.variant);
    } else if (found.variant & 1 << 11) {
        archive = malloc(edited_size + found.config_size + 1000);
        if (archive) {
            size = pack(archive, &found, edited, edited_size);
            repair_checksums(archive, size);
            use_file(memory_file(0, archive, size), found.variant);
            free(archive);
        }
    } else {
        use_with_config(memory_file(0, edited, edited_size), &found);
    }
    free(edited);
    return 0;
}
