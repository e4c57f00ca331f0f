/* Damaged files: of each layout that we seal, a small file with every single bit flipped, one after the
 * other, and cut at every length. All must be refused; libhdf5 must not even see them.
 *
 *   test-damage FOLDER [STRIDE]
 *
 * With a stride of s only every s-th bit and length of the layouts after the first is tried. */
#define _GNU_SOURCE
#include "scenarios.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void no_failure(carousel_status status, const char *call) {
    (void)status;
    fprintf(stderr, "%s: %s\n", call, carousel_last_error_message());
}

static const char *file_path;
static carousel_network *network;
static int is_whole;

static carousel_status load(void) {
    carousel_network *loaded = NULL;
    carousel_status status;
    if (!is_whole) return carousel_network_load_weights(network, file_path, NULL);
    status = carousel_network_load(file_path, NULL, &loaded);
    carousel_network_free(loaded);
    return status;
}

static carousel_network *build_small(int with_head) {
    carousel_builder *builder = NULL;
    carousel_network *result = NULL;
    carousel_input_options input;
    carousel_lstm_options lstm;
    carousel_dense_options head;
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(head);
    input.features = 1, input.time = -1;
    lstm.units = 1;
    head.units = 1;
    TRY(carousel_builder_create("n", &builder));
    TRY(carousel_builder_add_input(builder, "i", &input));
    TRY(carousel_builder_add_lstm(builder, "l", &lstm));
    if (with_head) TRY(carousel_builder_add_dense(builder, "d", &head));
    TRY(carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, &result));
    carousel_builder_free(builder);
    return result;
}

static void damage(const char *format, long stride) {
    carousel_save_options options;
    unsigned char *bytes;
    struct stat status;
    int file;
    long size, i, tried = 0, overlooked = 0, unsealed = 0;
    CAROUSEL_INIT(options);
    options.format = format;
    network = build_small(strcmp(format, "onnx") != 0);
    SUCCEEDS(carousel_network_save(network, file_path, &options));
    SUCCEEDS(load());
    file = open(file_path, O_RDWR);
    CHECK(file >= 0 && fstat(file, &status) == 0);
    size = (long)status.st_size;
    bytes = malloc((size_t)size);
    if (!bytes || read(file, bytes, (size_t)size) != size) exit(1);
    for (i = 0; i < 8 * size; i += stride, tried++) {
        const unsigned char flipped = (unsigned char)(bytes[i / 8] ^ (1u << i % 8));
        carousel_status result;
        if (pwrite(file, &flipped, 1, i / 8) != 1) exit(1);
        result = load();
        if (result == CAROUSEL_OK) overlooked++;
        else if (!strstr(carousel_last_error_message(), "seal")) unsealed++;
        if (pwrite(file, bytes + i / 8, 1, i / 8) != 1) exit(1);
    }
    SUCCEEDS(load());
    printf("%-21s %ld bytes: %ld bits flipped, %ld overlooked, %ld found by another check; ", format,
           size, tried, overlooked, unsealed);
    CHECK(overlooked == 0);
    CHECK(unsealed == 0);
    overlooked = tried = 0;
    for (i = size - 1; i >= 0; i -= stride, tried++) {
        if (ftruncate(file, i)) exit(1);
        /* The last 16 bytes are the seal. What is whole without it is as if somebody else had written
         * it, and up to three bytes behind it say nothing. */
        if (i < size - 16 || i > size - 13) overlooked += load() == CAROUSEL_OK;
    }
    printf("%ld lengths, %ld overlooked\n", tried, overlooked);
    CHECK(overlooked == 0);
    free(bytes);
    close(file);
    carousel_network_free(network);
}

int main(int count, char **arguments) {
    static const char *const formats[] = {
        "carousel", "keras-h5", "keras-weights", "keras-legacy-weights", "torch", "chainer", "tf1",
        "onnx"};
    const long stride = count > 2 ? atol(arguments[2]) : 1;
    size_t i;
    if (count < 2 || stride < 1) return 2;
    prepare_scenarios(arguments[1]);
    on_failure = no_failure;
    file_path = strdup(path_of("damaged.h5"));
    for (i = 0; i < sizeof formats / sizeof *formats; i++) {
        is_whole = i < 2;
        damage(formats[i], i == 0 ? 1 : stride);
    }
    remove(file_path);
    return finish();
}
