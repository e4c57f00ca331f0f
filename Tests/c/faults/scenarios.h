/* What a program does with the library, in small: each scenario makes what it needs, uses it and frees it,
 * and leaves a digest of all numbers, texts and files that came out.
 *
 * Every call is tried once. If it fails, the faults are switched off (on_failure), and it is tried
 * again: it must then succeed, and the digest must be what it is without faults. So a failed call
 * has left every object as it was, or the digest would differ. */
#ifndef CAROUSEL_TESTS_SCENARIOS_H
#define CAROUSEL_TESTS_SCENARIOS_H

#include "../harness.h"

typedef struct scenario {
    const char *name;
    void (*run)(void);
} scenario;

static uint64_t digest;
/* Judges a failure and switches the faults off. */
static void (*on_failure)(carousel_status status, const char *call);
/* Judges that the call failed again, without faults. */
static void fail_again(carousel_status status, const char *call) {
    (void)status;
    check_that(0, call, "again without faults", 0);
}
static void (*on_second_failure)(carousel_status status, const char *call) = fail_again;
static const char *folder; /* for files */

static void add_bytes(const void *data, size_t size) {
    const unsigned char *bytes = data;
    size_t i;
    for (i = 0; i < size; i++) digest = (digest ^ bytes[i]) * UINT64_C(1099511628211);
}

#define TRY(call)                                                                     \
    do {                                                                              \
        carousel_status status_ = (call);                                             \
        if (status_ != CAROUSEL_OK) {                                                 \
            on_failure(status_, #call);                                               \
            status_ = (call);                                                         \
            if (status_ != CAROUSEL_OK) on_second_failure(status_, #call);            \
        }                                                                             \
    } while (0)

static const char *path_of(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The network that every layout but ONNX can hold; `kind` 1: what only our own can. */
static carousel_network *build_network(int kind) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    struct usual_layers layers = usual_layers();
    if (kind == 1) layers.first.peepholes = 7;
    layers.second.recurrent.return_sequences = 1;
    TRY(carousel_builder_create("test", &builder));
    TRY(carousel_builder_add_input(builder, "input", &layers.input));
    TRY(carousel_builder_add_lstm(builder, "first", &layers.first));
    if (kind != 2) {
        TRY(carousel_builder_add_lstm(builder, "second", &layers.second));
        TRY(carousel_builder_add_dense(builder, "head", &layers.head));
    }
    TRY(carousel_builder_build(builder, CAROUSEL_FLOAT32, 42, &network));
    carousel_builder_free(builder);
    return network;
}

static void add_parameters(const carousel_network *network) {
    void *data = NULL;
    size_t size = 0;
    TRY(carousel_network_get_parameter_buffer(network, &data, &size));
    add_bytes(data, size);
}

static void run_build(void) {
    carousel_network *network = build_network(1), *copy = NULL, *again = NULL;
    carousel_network_info info;
    carousel_layer_info layer;
    carousel_parameter_info parameter;
    char text[4096];
    size_t length = 0, i;
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(layer);
    CAROUSEL_INIT(parameter);
    TRY(carousel_network_get_info(network, &info));
    add_bytes(&info.weight_count, sizeof info.weight_count);
    for (i = 0; i < info.layer_count; i++) TRY(carousel_network_get_layer(network, i, &layer));
    TRY(carousel_network_find_parameter(network, "head/kernel", &parameter));
    add_bytes(parameter.data, (size_t)parameter.count * sizeof(float));
    TRY(carousel_network_summary(network, text, sizeof text, &length));
    add_bytes(text, length);
    TRY(carousel_network_to_json(network, text, sizeof text, &length));
    add_bytes(text, length);
    TRY(carousel_network_from_json(text, CAROUSEL_FLOAT64, 7, &again));
    add_parameters(again);
    TRY(carousel_network_copy(network, &copy));
    TRY(carousel_network_initialize(copy, 3));
    TRY(carousel_network_parameters_changed(copy));
    add_parameters(copy);
    carousel_network_free(network);
    carousel_network_free(copy);
    carousel_network_free(again);
}

/* Every kind of layer. */
static void run_layers(void) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_input_options input;
    carousel_embedding_options embedding;
    carousel_lstm_options lstm;
    carousel_gru_options gru;
    carousel_simple_rnn_options simple;
    carousel_conv1d_options convolution;
    carousel_pooling1d_options pooling;
    carousel_dense_options dense;
    const char *both[2] = {"conv", "padding"};
    float ids[2 * 6] = {1, 2, 3, 4, 5, 0, 6, 1, 2, 0, 3, 4}, output[2 * 3];
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(embedding);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(gru);
    CAROUSEL_INIT(simple);
    CAROUSEL_INIT(convolution);
    CAROUSEL_INIT(pooling);
    CAROUSEL_INIT(dense);
    input.is_ids = 1;
    input.time = 6;
    embedding.vocabulary = 7, embedding.dimension = 4;
    lstm.units = 4, lstm.layer_norm = 1, lstm.projection_size = 3;
    lstm.recurrent.bidirectional = CAROUSEL_BIDIRECTIONAL_CONCAT;
    lstm.recurrent.return_sequences = 1;
    gru.units = 4, gru.recurrent.return_sequences = 1;
    simple.units = 4, simple.recurrent.return_sequences = 1;
    simple.recurrent.learn_initial_state = 1;
    convolution.filters = 4, convolution.kernel_size = 3;
    convolution.padding = CAROUSEL_CONVOLUTION_CAUSAL;
    pooling.pool_size = 2;
    dense.units = 3, dense.activation.kind = CAROUSEL_ACTIVATION_SOFTMAX;
    TRY(carousel_builder_create("layers", &builder));
    TRY(carousel_builder_add_input(builder, "input", &input));
    TRY(carousel_builder_add_embedding(builder, "embedding", &embedding));
    TRY(carousel_builder_add_lstm(builder, "lstm", &lstm));
    TRY(carousel_builder_add_layer_normalization(builder, "norm", NULL));
    TRY(carousel_builder_add_gru(builder, "gru", &gru));
    TRY(carousel_builder_add_dropout(builder, "dropout", CAROUSEL_DROPOUT, 0.5));
    TRY(carousel_builder_add_simple_rnn(builder, "simple", &simple));
    TRY(carousel_builder_add_conv1d(builder, "conv", &convolution));
    TRY(carousel_builder_add_zero_padding1d(builder, "padding", 0, 0));
    TRY(carousel_builder_read(builder, both, 2));
    TRY(carousel_builder_add_merge(builder, "sum", CAROUSEL_MERGE_ADD));
    TRY(carousel_builder_add_batch_normalization(builder, "batch", NULL));
    TRY(carousel_builder_add_prelu(builder, "prelu", 1));
    TRY(carousel_builder_add_pooling1d(builder, "pooling", &pooling));
    TRY(carousel_builder_add_flatten(builder, "flat"));
    TRY(carousel_builder_add_dense(builder, "head", &dense));
    TRY(carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, &network));
    TRY(carousel_network_forward(network, ids, 2, 6, output, 2 * 3));
    add_bytes(output, sizeof output);
    carousel_builder_free(builder);
    carousel_network_free(network);
}

enum { BATCH = 3, TIME = 7 };
static float sequence[BATCH * TIME * 3];

static void run_forward(void) {
    carousel_network *network = build_network(1);
    carousel_run_options options;
    carousel_array x, y, states[4], shape;
    float output[BATCH * TIME * 2], state[4][BATCH * 5];
    int64_t lengths[BATCH] = {TIME, 3, 0}, times[1] = {TIME};
    int i;
    memset(state, 0, sizeof state);
    memset(&shape, 0, sizeof shape);
    x = array_of(sequence, 3, BATCH, TIME, 3);
    y = array_of(output, 3, BATCH, TIME, 2);
    for (i = 0; i < 4; i++) states[i] = array_of(state[i], 2, BATCH, i < 2 ? 5 : 4, 0);
    TRY(carousel_network_forward(network, sequence, BATCH, TIME, output, BATCH * TIME * 2));
    add_bytes(output, sizeof output);
    TRY(carousel_network_get_output_shape(network, 0, BATCH, times, 1, &shape));
    CAROUSEL_INIT(options);
    options.lengths = lengths;
    options.final_states = states;
    options.final_state_count = 4;
    options.threads = 2;
    TRY(carousel_network_run(network, &x, 1, &y, 1, &options));
    add_bytes(output, sizeof output);
    CAROUSEL_INIT(options);
    options.initial_states = states;
    options.initial_state_count = 4;
    options.time_major = 1;
    x = array_of(sequence, 3, TIME, BATCH, 3);
    y = array_of(output, 3, TIME, BATCH, 2);
    TRY(carousel_network_run(network, &x, 1, &y, 1, &options));
    add_bytes(output, sizeof output);
    carousel_network_free(network);
}

static void run_stream(void) {
    carousel_network *network = build_network(1);
    carousel_stream *stream = NULL, *copy = NULL;
    carousel_stream_info info;
    carousel_array x, y;
    float output[2 * TIME * 2];
    unsigned char state[4096];
    CAROUSEL_INIT(info);
    memset(output, 0, sizeof output);
    x = array_of(sequence, 2, 2, 3, 0);
    y = array_of(output, 2, 2, 2, 0);
    TRY(carousel_stream_create(network, 2, &stream));
    TRY(carousel_stream_get_info(stream, &info));
    TRY(carousel_stream_steps(stream, sequence, TIME, output));
    add_bytes(output, sizeof output);
    TRY(carousel_stream_step(stream, sequence, output));
    TRY(carousel_stream_snapshot(stream, state, info.state_size));
    TRY(carousel_stream_copy(stream, &copy));
    TRY(carousel_stream_step_arrays(copy, &x, 1, &y, 1));
    TRY(carousel_stream_reset(copy));
    TRY(carousel_stream_restore(copy, state, info.state_size));
    TRY(carousel_network_initialize(network, 77));
    TRY(carousel_stream_update_weights(copy));
    TRY(carousel_stream_step(copy, sequence, output));
    add_bytes(output, sizeof output);
    carousel_stream_free(stream);
    carousel_stream_free(copy);
    carousel_network_free(network);
}

static void run_tape(void) {
    carousel_network *network = build_network(1);
    carousel_tape *tape = NULL;
    carousel_record_options options;
    carousel_array x, y, trace, gradient;
    float output[BATCH * TIME * 2], field[BATCH * TIME * 5], input_gradient[BATCH * TIME * 3];
    int64_t times[1] = {TIME};
    void *data = NULL;
    size_t size = 0;
    CAROUSEL_INIT(options);
    options.gradient_flow = 1;
    x = array_of(sequence, 3, BATCH, TIME, 3);
    y = array_of(output, 3, BATCH, TIME, 2);
    gradient = array_of(input_gradient, 3, BATCH, TIME, 3);
    memset(&trace, 0, sizeof trace);
    TRY(carousel_network_get_tape_size(network, BATCH, times, 1, &size));
    add_bytes(&size, sizeof size);
    TRY(carousel_network_record(network, &x, 1, &options, &tape));
    TRY(carousel_tape_get_output(tape, 0, &y));
    TRY(carousel_tape_backward(tape, &y, 1, NULL, 0));
    TRY(carousel_tape_get_parameter_gradients(tape, &data, &size));
    add_bytes(data, size);
    TRY(carousel_tape_get_input_gradient(tape, 0, &gradient));
    add_bytes(input_gradient, sizeof input_gradient);
    TRY(carousel_tape_get_trace_shape(tape, "first", CAROUSEL_TRACE_CELL_DELTA, 0, &trace));
    trace.data = field;
    TRY(carousel_tape_get_trace(tape, "first", CAROUSEL_TRACE_CELL_DELTA, 0, &trace));
    add_bytes(field, sizeof field);
    carousel_tape_free(tape);
    carousel_network_free(network);
}

static int32_t go_on(const carousel_fit_event *event, void *context) {
    (void)event, (void)context;
    return 0;
}

static carousel_trainer *make_trainer(carousel_network *network) {
    carousel_trainer *trainer = NULL;
    carousel_trainer_options options;
    const carousel_metric metrics[1] = {CAROUSEL_METRIC_MAE};
    CAROUSEL_INIT(options);
    options.metrics = metrics;
    options.metric_count = 1;
    options.clip_norm = 1;
    options.seed = 3;
    TRY(carousel_trainer_create(network, &options, &trainer));
    return trainer;
}

static void make_data(carousel_training_data *data, carousel_array *x, carousel_array *y) {
    static float targets[BATCH * TIME * 2];
    *x = array_of(sequence, 3, BATCH, TIME, 3);
    *y = array_of(targets, 3, BATCH, TIME, 2);
    memset(data, 0, sizeof *data);
    data->struct_size = sizeof *data;
    data->inputs = x, data->input_count = 1;
    data->targets = y, data->target_count = 1;
}

static void run_train(void) {
    carousel_network *network = build_network(0);
    carousel_trainer *trainer = make_trainer(network);
    carousel_training_data data;
    carousel_fit_options fit;
    carousel_step_result result;
    carousel_array x, y;
    const char *name;
    double values[4], norm = 0;
    size_t count = 0, size = 0;
    int64_t times[1] = {TIME};
    make_data(&data, &x, &y);
    CAROUSEL_INIT(fit);
    CAROUSEL_INIT(result);
    fit.epochs = 2;
    fit.batch_size = 2;
    fit.early_stopping = 1;
    fit.patience = 3;
    fit.callback = go_on;
    TRY(carousel_trainer_get_step_size(trainer, BATCH, times, 1, &size));
    TRY(carousel_trainer_step(trainer, &data, &result));
    add_bytes(&result.loss, sizeof result.loss);
    TRY(carousel_trainer_compute_gradients(trainer, &data, 0, &result));
    TRY(carousel_trainer_apply_gradients(trainer, &norm));
    add_bytes(&norm, sizeof norm);
    TRY(carousel_trainer_evaluate(trainer, &data, 2, &result));
    add_bytes(&result.loss, sizeof result.loss);
    TRY(carousel_trainer_fit(trainer, &data, NULL, &fit));
    TRY(carousel_trainer_get_history(trainer, 0, &name, values, 4, &count));
    add_bytes(values, count * sizeof *values);
    TRY(carousel_trainer_set_trainable(trainer, "head", 0));
    TRY(carousel_trainer_set_learning_rate(trainer, 0.5));
    TRY(carousel_trainer_step(trainer, &data, &result));
    add_parameters(network);
    carousel_trainer_free(trainer);
    carousel_network_free(network);
}

static void run_checkpoint(void) {
    carousel_network *network = build_network(0), *other = build_network(0);
    carousel_trainer *trainer = make_trainer(network), *resumed = make_trainer(other);
    carousel_training_data data;
    carousel_array x, y;
    const char *path = path_of("checkpoint.h5");
    make_data(&data, &x, &y);
    TRY(carousel_trainer_step(trainer, &data, NULL));
    TRY(carousel_trainer_save(trainer, path));
    TRY(carousel_trainer_resume(resumed, path));
    TRY(carousel_trainer_step(resumed, &data, NULL));
    add_parameters(other);
    carousel_trainer_free(trainer);
    carousel_trainer_free(resumed);
    carousel_network_free(network);
    carousel_network_free(other);
}

static void run_stream_file(void) {
    carousel_network *network = build_network(0);
    carousel_stream *stream = NULL, *other = NULL;
    float output[4];
    const char *path = path_of("stream.h5");
    TRY(carousel_stream_create(network, 2, &stream));
    TRY(carousel_stream_create(network, 2, &other));
    TRY(carousel_stream_step(stream, sequence, output));
    TRY(carousel_stream_save(stream, path, NULL));
    TRY(carousel_stream_load(other, path));
    TRY(carousel_stream_step(other, sequence, output));
    add_bytes(output, sizeof output);
    carousel_stream_free(stream);
    carousel_stream_free(other);
    carousel_network_free(network);
}

/* Saves a network in a layout and fills another one from the file; a whole model is loaded, too. */
static void run_layout(const char *format, int is_whole, int compression) {
    carousel_network *network = build_network(strcmp(format, "onnx") == 0 ? 2 : 0), *other = NULL;
    carousel_save_options save;
    carousel_load_options load;
    carousel_weights_options weights;
    char name[64];
    const char *path;
    CAROUSEL_INIT(save);
    CAROUSEL_INIT(load);
    CAROUSEL_INIT(weights);
    save.format = format;
    save.compression = compression;
    snprintf(name, sizeof name, "%s.file", format);
    path = path_of(name);
    TRY(carousel_network_save(network, path, &save));
    if (is_whole) {
        TRY(carousel_network_load(path, &load, &other));
    } else {
        TRY(carousel_network_copy(network, &other));
        TRY(carousel_network_initialize(other, 99));
        TRY(carousel_network_load_weights(other, path, &weights));
    }
    add_parameters(other);
    carousel_network_free(network);
    carousel_network_free(other);
}

static void run_carousel(void) { run_layout("carousel", 1, 0); }
static void run_compressed(void) { run_layout("carousel", 1, 6); }
static void run_keras_h5(void) { run_layout("keras-h5", 1, 0); }
static void run_keras(void) { run_layout("keras", 1, 0); }
static void run_keras_weights(void) { run_layout("keras-weights", 0, 0); }
static void run_keras_legacy(void) { run_layout("keras-legacy-weights", 0, 0); }
static void run_torch(void) { run_layout("torch", 0, 0); }
static void run_chainer(void) { run_layout("chainer", 0, 0); }
static void run_tf1(void) { run_layout("tf1", 0, 0); }
static void run_onnx(void) { run_layout("onnx", 0, 0); }

/* Both may succeed and tell of a problem in their text. */
static void run_inspect(void) {
    char text[16384];
    size_t length = 0;
    TRY(carousel_inspect(path_of("keras-h5.file"), NULL, text, sizeof text, &length));
    TRY(carousel_build_info(text, sizeof text, &length));
}

/* Those that touch no file come first. */
static const scenario scenarios[] = {
    {"build", run_build},
    {"layers", run_layers},
    {"forward", run_forward},
    {"stream", run_stream},
    {"tape", run_tape},
    {"train", run_train},
    {"carousel", run_carousel},
    {"carousel, gzip", run_compressed},
    {"keras-h5", run_keras_h5},
    {"keras", run_keras},
    {"keras-weights", run_keras_weights},
    {"keras-legacy-weights", run_keras_legacy},
    {"torch", run_torch},
    {"chainer", run_chainer},
    {"tf1", run_tf1},
    {"onnx", run_onnx},
    {"inspect", run_inspect},
    {"stream file", run_stream_file},
    {"checkpoint", run_checkpoint},
};
enum { FIRST_WITH_FILES = 6, SCENARIOS = sizeof scenarios / sizeof *scenarios };

static void prepare_scenarios(const char *files) {
    folder = files;
    fill_randomly(sequence, sizeof sequence / sizeof *sequence, 11);
}

#endif
