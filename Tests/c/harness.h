/* A few macros for tests that are plain programs: a failed check is printed and counted, and the
 * program goes on; main ends with `return finish();`. */
#ifndef CAROUSEL_TESTS_HARNESS_H
#define CAROUSEL_TESTS_HARNESS_H

#include <carousel.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks_made, checks_failed;

static void check_that(int holds, const char *text, const char *file, int line) {
    /* From any thread. */
    __atomic_add_fetch(&checks_made, 1, __ATOMIC_RELAXED);
    if (holds) return;
    __atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "%s:%d: failed: %s\n  last error: %s\n", file, line, text,
            carousel_last_error_message());
}

#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
/* The call succeeds. */
#define SUCCEEDS(call) check_that((call) == CAROUSEL_OK, #call, __FILE__, __LINE__)
/* The call fails with this status, and the message contains this text. */
#define FAILS(call, status, text)                                         \
    do {                                                                  \
        check_that((call) == (status), #call " gives " #status, __FILE__, __LINE__); \
        check_that(strstr(carousel_last_error_message(), text) != NULL,   \
                   #call " says " #text, __FILE__, __LINE__);             \
    } while (0)

static int finish(void) {
    printf("%d checks, %d failed\n", checks_made, checks_failed);
    return checks_made == 0 || checks_failed != 0;
}

/* Numbers in [-1, 1) that are the same on every machine. */
static float random_number(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

static inline void fill_randomly(float *values, size_t count, uint32_t seed) {
    size_t i;
    for (i = 0; i < count; i++) values[i] = random_number(&seed);
}

/* A contiguous float32 array. */
static inline carousel_array array_of(
    float *data, int32_t rank, int64_t a, int64_t b, int64_t c) {
    carousel_array array;
    memset(&array, 0, sizeof array);
    array.data = data;
    array.dtype = CAROUSEL_FLOAT32;
    array.rank = rank;
    array.shape[0] = a;
    array.shape[1] = b;
    array.shape[2] = c;
    return array;
}

/* input (any steps, 3 features) -> LSTM(5, sequences) -> LSTM(4) -> Dense(2). */
struct usual_layers {
    carousel_input_options input;
    carousel_lstm_options first, second;
    carousel_dense_options head;
};

static inline struct usual_layers usual_layers(void) {
    struct usual_layers layers;
    CAROUSEL_INIT(layers.input);
    CAROUSEL_INIT(layers.first);
    CAROUSEL_INIT(layers.second);
    CAROUSEL_INIT(layers.head);
    layers.input.features = 3;
    layers.input.time = -1;
    layers.first.units = 5;
    layers.first.recurrent.return_sequences = 1;
    layers.second.units = 4;
    layers.head.units = 2;
    return layers;
}

/* The usual layers, the first with peepholes. */
static inline carousel_network *make_network(carousel_dtype dtype, int return_sequences) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    struct usual_layers layers = usual_layers();
    layers.first.peepholes = 7;
    layers.second.recurrent.return_sequences = return_sequences;
    SUCCEEDS(carousel_builder_create("test", &builder));
    SUCCEEDS(carousel_builder_add_input(builder, "input", &layers.input));
    SUCCEEDS(carousel_builder_add_lstm(builder, "first", &layers.first));
    SUCCEEDS(carousel_builder_add_lstm(builder, "second", &layers.second));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &layers.head));
    SUCCEEDS(carousel_builder_build(builder, dtype, 42, &network));
    carousel_builder_free(builder);
    if (!network) exit(1);
    return network;
}

#endif
