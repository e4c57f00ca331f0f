/* Programs that were compiled against an older header pass shorter structs. Every struct of the header
 * that begins with its size is passed with every smaller size down to what the call cannot do without,
 * with garbage behind: the call must do what it does with zeros there, and must not write behind. A struct of
 * the header that is not in the table fails the test.
 *
 *   test-struct-sizes HEADER FOLDER */
#include "harness.h"

#include <stddef.h>

static carousel_network *network;
static carousel_stream *stream;
static carousel_trainer *trainer;
static char path[1024];
static float input[2 * 3 * 3], output[2 * 2];
static carousel_array x, y;

static carousel_status add(carousel_status (*add_layer)(carousel_builder *, const void *), const void *s) {
    carousel_builder *builder = NULL;
    carousel_input_options in;
    carousel_status status;
    CAROUSEL_INIT(in);
    in.features = in.time = 3;
    carousel_builder_create(NULL, &builder);
    carousel_builder_add_input(builder, "input", &in);
    status = add_layer(builder, s);
    carousel_builder_free(builder);
    return status;
}

#define LAYER(name)                                                                     \
    static carousel_status layer_##name(carousel_builder *builder, const void *s) {     \
        return carousel_builder_add_##name(builder, "layer", s);                        \
    }                                                                                   \
    static carousel_status call_##name(void *s) { return add(layer_##name, s); }
LAYER(dense)
LAYER(embedding)
LAYER(simple_rnn)
LAYER(lstm)
LAYER(gru)
LAYER(layer_normalization)
LAYER(conv1d)
LAYER(pooling1d)

static carousel_status call_input(void *s) {
    carousel_builder *builder = NULL;
    carousel_status status;
    carousel_builder_create(NULL, &builder);
    status = carousel_builder_add_input(builder, "input", s);
    carousel_builder_free(builder);
    return status;
}
static carousel_status call_load(void *s) {
    carousel_network *loaded = NULL;
    carousel_status status = carousel_network_load(path, s, &loaded);
    carousel_network_free(loaded);
    return status;
}
static carousel_status call_weights(void *s) {
    return carousel_network_load_weights(network, path, s);
}
static carousel_status call_save(void *s) { return carousel_network_save(network, path, s); }
static carousel_status call_run(void *s) {
    return carousel_network_run(network, &x, 1, &y, 1, s);
}
static carousel_status call_record(void *s) {
    carousel_tape *tape = NULL;
    carousel_status status = carousel_network_record(network, &x, 1, s, &tape);
    carousel_tape_free(tape);
    return status;
}
static carousel_status call_trainer(void *s) {
    carousel_trainer *made = NULL;
    carousel_status status = carousel_trainer_create(network, s, &made);
    carousel_trainer_free(made);
    return status;
}
static carousel_status call_data(void *s) {
    carousel_step_result result;
    CAROUSEL_INIT(result);
    return carousel_trainer_evaluate(trainer, s, 2, &result);
}
static carousel_training_data whole_data(void) {
    carousel_training_data data;
    CAROUSEL_INIT(data);
    data.inputs = &x, data.input_count = 1;
    data.targets = &y, data.target_count = 1;
    return data;
}
static carousel_status call_fit(void *s) {
    const carousel_training_data data = whole_data();
    return carousel_trainer_fit(trainer, &data, NULL, s);
}
static carousel_status call_result(void *s) {
    const carousel_training_data data = whole_data();
    return carousel_trainer_evaluate(trainer, &data, 2, s);
}
static carousel_status call_network_info(void *s) { return carousel_network_get_info(network, s); }
static carousel_status call_signal(void *s) { return carousel_network_get_input(network, 0, s); }
static carousel_status call_layer(void *s) { return carousel_network_get_layer(network, 1, s); }
static carousel_status call_state(void *s) { return carousel_network_get_state(network, 0, s); }
static carousel_status call_parameter(void *s) {
    return carousel_network_get_parameter(network, 0, s);
}
static carousel_status call_stream_info(void *s) { return carousel_stream_get_info(stream, s); }
static carousel_status call_output_error(void *s) {
    return carousel_network_measure_error(network, network, &x, 1, NULL, s, 1);
}
static carousel_status call_quantization(void *s) {
    return carousel_network_get_quantization(network, 1, s);
}
static carousel_status call_trainer_info(void *s) { return carousel_trainer_get_info(trainer, s); }

/* Sizes up to `needed` are what the call cannot do without. */
typedef struct row {
    const char *name;
    size_t size, needed;
    carousel_status (*call)(void *);
    void (*fill)(void *);
} row;

static void no_fill(void *s) { (void)s; }
static void fill_input(void *s) {
    ((carousel_input_options *)s)->features = 3, ((carousel_input_options *)s)->time = 3;
}
static void fill_units(void *s) { ((carousel_dense_options *)s)->units = 2; }
static void fill_embedding(void *s) {
    ((carousel_embedding_options *)s)->vocabulary = 2;
    ((carousel_embedding_options *)s)->dimension = 2;
}
static void fill_conv1d(void *s) {
    ((carousel_conv1d_options *)s)->filters = 2, ((carousel_conv1d_options *)s)->kernel_size = 2;
}
static void fill_pooling(void *s) { ((carousel_pooling1d_options *)s)->pool_size = 2; }
static void fill_data(void *s) { *(carousel_training_data *)s = whole_data(); }

#define END(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))
#define ROW(type, needed, call, fill) {#type, sizeof(type), needed, call, fill}
static const row rows[] = {
    ROW(carousel_load_options, sizeof(size_t), call_load, no_fill),
    ROW(carousel_weights_options, sizeof(size_t), call_weights, no_fill),
    ROW(carousel_save_options, sizeof(size_t), call_save, no_fill),
    ROW(carousel_run_options, sizeof(size_t), call_run, no_fill),
    ROW(carousel_record_options, sizeof(size_t), call_record, no_fill),
    ROW(carousel_input_options, END(carousel_input_options, time), call_input, fill_input),
    ROW(carousel_dense_options, END(carousel_dense_options, units), call_dense, fill_units),
    ROW(carousel_embedding_options, END(carousel_embedding_options, dimension), call_embedding,
        fill_embedding),
    ROW(carousel_simple_rnn_options, END(carousel_simple_rnn_options, units), call_simple_rnn,
        fill_units),
    ROW(carousel_lstm_options, END(carousel_lstm_options, units), call_lstm, fill_units),
    ROW(carousel_gru_options, END(carousel_gru_options, units), call_gru, fill_units),
    ROW(carousel_normalization_options, sizeof(size_t), call_layer_normalization, no_fill),
    ROW(carousel_conv1d_options, END(carousel_conv1d_options, kernel_size), call_conv1d, fill_conv1d),
    ROW(carousel_pooling1d_options, END(carousel_pooling1d_options, pool_size), call_pooling1d,
        fill_pooling),
    ROW(carousel_trainer_options, sizeof(size_t), call_trainer, no_fill),
    ROW(carousel_training_data, END(carousel_training_data, target_count), call_data, fill_data),
    ROW(carousel_fit_options, sizeof(size_t), call_fit, no_fill),
    ROW(carousel_step_result, sizeof(size_t), call_result, no_fill),
    ROW(carousel_network_info, sizeof(size_t), call_network_info, no_fill),
    ROW(carousel_signal_info, sizeof(size_t), call_signal, no_fill),
    ROW(carousel_layer_info, sizeof(size_t), call_layer, no_fill),
    ROW(carousel_state_info, sizeof(size_t), call_state, no_fill),
    ROW(carousel_parameter_info, sizeof(size_t), call_parameter, no_fill),
    ROW(carousel_stream_info, sizeof(size_t), call_stream_info, no_fill),
    ROW(carousel_output_error, sizeof(size_t), call_output_error, no_fill),
    ROW(carousel_quantization_info, sizeof(size_t), call_quantization, no_fill),
    ROW(carousel_trainer_info, sizeof(size_t), call_trainer_info, no_fill),
    /* Written by the library only. */
    {"carousel_fit_event", 0, 0, NULL, NULL},
};

static void check_row(const row *r) {
    static union {
        size_t size;
        double alignment;
        unsigned char bytes[4096];
    } memory;
    size_t size, i;
    for (size = r->needed; size <= r->size; size += 4) {
        carousel_status status;
        memset(&memory, 0, sizeof memory);
        r->fill(&memory);
        memory.size = size;
        memset(memory.bytes + size, 0xA5, sizeof memory - size);
        status = r->call(&memory);
        if (status != CAROUSEL_OK) fprintf(stderr, "%s of %d bytes\n", r->name, (int)size);
        CHECK(status == CAROUSEL_OK);
        for (i = size; i < sizeof memory; i++)
            if (memory.bytes[i] != 0xA5) break;
        CHECK(i == sizeof memory);
        CHECK(memory.size == size);
    }
}

/* Every struct of the header whose first field is struct_size. */
static void check_completeness(const char *header) {
    static char text[1 << 20];
    FILE *file = fopen(header, "rb");
    const char *at = text;
    int found = 0;
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[length] = 0;
    while ((at = strstr(at, "typedef struct "))) {
        char name[64];
        size_t i;
        at += strlen("typedef struct ");
        if (sscanf(at, "%63s {", name) != 1) continue;
        if (strncmp(at + strlen(name), " {\n    size_t struct_size;", 26) != 0) continue;
        found++;
        for (i = 0; i < sizeof rows / sizeof *rows; i++)
            if (strcmp(rows[i].name, name) == 0) break;
        if (i == sizeof rows / sizeof *rows) fprintf(stderr, "%s is not tested\n", name);
        CHECK(i < sizeof rows / sizeof *rows);
    }
    CHECK(found == (int)(sizeof rows / sizeof *rows));
}

int main(int count, char **arguments) {
    size_t i;
    if (count < 3) return 2;
    snprintf(path, sizeof path, "%s/struct-sizes.h5", arguments[2]);
    network = make_network(CAROUSEL_FLOAT32, 0);
    x = array_of(input, 3, 2, 3, 3);
    y = array_of(output, 2, 2, 2, 0);
    SUCCEEDS(carousel_network_save(network, path, NULL));
    SUCCEEDS(carousel_stream_create(network, 1, &stream));
    SUCCEEDS(carousel_trainer_create(network, NULL, &trainer));
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].call) check_row(&rows[i]);
    check_completeness(arguments[1]);
    carousel_trainer_free(trainer);
    carousel_stream_free(stream);
    carousel_network_free(network);
    remove(path);
    return finish();
}
