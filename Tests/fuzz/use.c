/* What a host does with a file or a network from elsewhere, and what must hold of whatever loads. */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 1 << 16 }; /* most numbers that a run here reads or writes */

/* Layouts that write all of a network's parameters and no others. */
static const char *const formats[] = {
    "carousel", "keras-h5", "keras", "keras-weights", "keras-legacy-weights"};

/* An array of `rank` and `shape` over static memory; 0 if it is too large to be run here. */
static int place(carousel_array *array, const carousel_signal_info *info, int64_t batch,
                 int64_t time, float *memory) {
    int64_t count = 1;
    int axis;
    memset(array, 0, sizeof *array);
    array->rank = info->rank;
    for (axis = 0; axis < info->rank; axis++) {
        int64_t extent = info->shape[axis];
        if (axis == 0 && extent < 0) extent = batch;
        if (extent < 0) extent = time;
        if (extent > VALUES / count) return 0;
        array->shape[axis] = extent;
        count *= extent > 0 ? extent : 1;
    }
    array->data = memory;
    return 1;
}

/* A batch of two (or what the network wants) through the network, whole. */
static void run(carousel_network *network, const carousel_network_info *info, int64_t time) {
    static float memory[8][VALUES];
    carousel_array inputs[4], outputs[4];
    carousel_signal_info signal;
    int64_t times[4];
    size_t i;
    int64_t k, batch = 2;
    CAROUSEL_INIT(signal);
    if (info->input_count > 4 || info->output_count > 4) return;
    for (i = 0; i < info->input_count; i++) {
        MUST(carousel_network_get_input(network, i, &signal) == CAROUSEL_OK);
        if (signal.shape[0] > 0) batch = signal.shape[0];
    }
    if (batch > 1000) return;
    for (i = 0; i < info->input_count; i++) {
        MUST(carousel_network_get_input(network, i, &signal) == CAROUSEL_OK);
        if (!place(&inputs[i], &signal, batch, time, memory[i])) return;
        for (k = 0; k < VALUES && k < batch * time * 64; k++)
            memory[i][k] = signal.is_ids ? (float)(k % signal.vocabulary) : (float)(k % 7) / 4 - 1;
        times[i] = signal.rank == 3 || signal.is_ids ? inputs[i].shape[1] : 1;
    }
    for (i = 0; i < info->output_count; i++) {
        int64_t count = 1;
        int axis;
        memset(&outputs[i], 0, sizeof outputs[i]);
        if (carousel_network_get_output_shape(
                network, i, batch, times, info->input_count, &outputs[i]) != CAROUSEL_OK)
            return;
        for (axis = 0; axis < outputs[i].rank; axis++) {
            if (outputs[i].shape[axis] > VALUES / count) return;
            count *= outputs[i].shape[axis] > 0 ? outputs[i].shape[axis] : 1;
        }
        outputs[i].dtype = CAROUSEL_FLOAT32;
        outputs[i].data = memory[4 + i];
    }
    (void)carousel_network_run(
        network, inputs, info->input_count, outputs, info->output_count, NULL);
}

static void step(const carousel_network *network) {
    static float input[VALUES], output[VALUES];
    carousel_stream *stream = NULL;
    carousel_stream_info info;
    int i;
    CAROUSEL_INIT(info);
    if (carousel_stream_create(network, 1, &stream) != CAROUSEL_OK) return;
    MUST(carousel_stream_get_info(stream, &info) == CAROUSEL_OK);
    if (info.input_count > 0 && info.input_count <= VALUES && info.output_count <= VALUES)
        for (i = 0; i < 3; i++) (void)carousel_stream_step(stream, input, output);
    carousel_stream_free(stream);
}

static char *text_of(
    carousel_status (*write)(const carousel_network *, char *, size_t, size_t *),
    const carousel_network *network) {
    size_t length = 0;
    char *text;
    MUST(write(network, NULL, 0, &length) == CAROUSEL_OK);
    text = malloc(length + 1);
    MUST(text != NULL && write(network, text, length + 1, NULL) == CAROUSEL_OK);
    MUST(strlen(text) == length);
    return text;
}

/* The architecture survives its own text. */
static void check_text(const carousel_network *network, carousel_dtype dtype) {
    char *text = text_of(carousel_network_to_json, network), *again;
    carousel_network *copy = NULL;
    MUST(carousel_network_from_json(text, dtype, 1, &copy) == CAROUSEL_OK);
    again = text_of(carousel_network_to_json, copy);
    if (strcmp(text, again)) {
        fprintf(stderr, "%s\nbecame\n%s\n", text, again);
        MUST(!"the same text");
    }
    free(text);
    free(again);
    carousel_network_free(copy);
}

/* What was loaded can be saved, and loads again with the same bits; Keras's layouts may refuse
 * it, but what they wrote they read. */
static void check_files(const carousel_network *network, uint32_t variant) {
    carousel_save_options save;
    carousel_weights_options weights;
    carousel_load_options load;
    carousel_network *copy = NULL;
    void *one, *other;
    size_t size, size_again;
    const char *path = scratch_path("saved");
    CAROUSEL_INIT(load);
    load.allow_non_finite = 1;
    if (carousel_network_save(network, path, NULL) != CAROUSEL_OK) {
        MUST(strstr(carousel_last_error_message(), "NaN or infinite") != NULL);
        return;
    }
    MUST(carousel_network_load(path, NULL, &copy) == CAROUSEL_OK);
    MUST(carousel_network_get_parameter_buffer(network, &one, &size) == CAROUSEL_OK);
    MUST(carousel_network_get_parameter_buffer(copy, &other, &size_again) == CAROUSEL_OK);
    MUST(size == size_again && memcmp(one, other, size) == 0);
    CAROUSEL_INIT(save);
    save.format = formats[variant % 5];
    CAROUSEL_INIT(weights);
    weights.format = save.format;
    if (carousel_network_save(network, path, &save) == CAROUSEL_OK)
        MUST(carousel_network_load_weights(copy, path, &weights) == CAROUSEL_OK);
    carousel_network_free(copy);
}

void use_network(carousel_network *network, uint32_t variant) {
    carousel_network_info info;
    carousel_parameter_info parameter;
    carousel_layer_info layer;
    carousel_state_info state;
    carousel_network *copy = NULL;
    size_t i;
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(parameter);
    CAROUSEL_INIT(layer);
    CAROUSEL_INIT(state);
    MUST(carousel_network_get_info(network, &info) == CAROUSEL_OK);
    for (i = 0; i < info.layer_count; i++)
        MUST(carousel_network_get_layer(network, i, &layer) == CAROUSEL_OK);
    for (i = 0; i < info.parameter_count; i++)
        MUST(carousel_network_get_parameter(network, i, &parameter) == CAROUSEL_OK);
    for (i = 0; i < info.state_count; i++)
        MUST(carousel_network_get_state(network, i, &state) == CAROUSEL_OK);
    free(text_of(carousel_network_summary, network));
    if (info.weight_count > 100000) return;
    if (variant % 4 == 1) check_text(network, info.dtype);
    if (carousel_network_copy(network, &copy) != CAROUSEL_OK) return;
    run(copy, &info, 1 + variant % 12);
    step(copy);
    carousel_network_free(copy);
    if (variant % 4 == 0) check_files(network, variant / 4);
}

/* Networks of common shapes for files that hold weights alone, or states. */
static carousel_network *target_network(uint32_t variant) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_input_options input;
    carousel_lstm_options lstm;
    carousel_dense_options head;
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(head);
    input.features = 3 + variant % 2;
    input.time = -1;
    lstm.units = 4 + 2 * (variant / 2 % 2);
    lstm.peepholes = variant & 8 ? 7 : 0;
    lstm.recurrent.bidirectional =
        variant & 16 ? CAROUSEL_BIDIRECTIONAL_CONCAT : CAROUSEL_ONE_DIRECTION;
    lstm.recurrent.return_sequences = 1;
    head.units = 2;
    MUST(carousel_builder_create("target", &builder) == CAROUSEL_OK);
    MUST(carousel_builder_add_input(builder, "input", &input) == CAROUSEL_OK);
    MUST(carousel_builder_add_lstm(builder, "lstm", &lstm) == CAROUSEL_OK);
    if (variant & 4) MUST(carousel_builder_add_dense(builder, "dense", &head) == CAROUSEL_OK);
    MUST(carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, &network) == CAROUSEL_OK);
    carousel_builder_free(builder);
    return network;
}

void use_file(const char *path, uint32_t variant) {
    carousel_network *network = NULL;
    carousel_load_options options;
    size_t length;
    CAROUSEL_INIT(options);
    options.allow_non_finite = variant >> 8 & 1;
    if (variant & 1 << 9) (void)carousel_inspect(path, &options, NULL, 0, &length);
    if (carousel_network_load(path, &options, &network) == CAROUSEL_OK) {
        use_network(network, variant);
        carousel_network_free(network);
    }
    if (variant & 1 << 10) {
        carousel_weights_options weights;
        carousel_stream *stream = NULL;
        carousel_trainer *trainer = NULL;
        CAROUSEL_INIT(weights);
        network = target_network(variant);
        (void)carousel_network_load_weights(network, path, &weights);
        if (carousel_stream_create(network, 1, &stream) == CAROUSEL_OK) {
            (void)carousel_stream_load(stream, path);
            carousel_stream_free(stream);
        }
        MUST(carousel_trainer_create(network, NULL, &trainer) == CAROUSEL_OK);
        (void)carousel_trainer_resume(trainer, path);
        carousel_trainer_free(trainer);
        carousel_network_free(network);
    }
}
