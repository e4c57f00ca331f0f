/* Random sequences of calls through the C interface: handles that are wrong, freed or of another
 * type, options and sizes from sensible to absurd, arrays that are exactly as large as they say (so
 * that AddressSanitizer sees a read behind them). Whatever is called, the process lives, and all
 * memory is given back. */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3, MOST_CALLS = 60, LARGEST = 4096 };
enum { NETWORK, STREAM, BUILDER, TAPE, TRAINER, KINDS };

static bytes input;
static void *slots[KINDS][SLOTS];

static uint32_t choice(uint32_t count) { return next_choice(&input, count); }
/* One of `count` times. */
static int rarely(uint32_t count) { return choice(256) > 255 - 256 / count; }

/* ---- values ---- */

static int64_t extent(void) {
    static const int64_t odd[] = {0, -1, 17, 1 << 20, 1ll << 31, 1ll << 40, INT64_MAX, INT64_MIN};
    return rarely(12) ? odd[choice(8)] : 1 + (int64_t)choice(9);
}

static double rate(void) {
    static const double odd[] = {0, 1, -1, 0.5, 1e-300, 1e300, INFINITY, NAN};
    return rarely(4) ? odd[choice(8)] : choice(100) / 100.0;
}

static int32_t flag(void) { return rarely(3) ? (int32_t)choice(4) - 1 : 0; }

/* Mostly a live handle of the kind, or NULL; rarely another kind's, or one that was freed. */
static void *freed[4];
static void *handle(int kind) {
    if (rarely(40)) return slots[choice(KINDS)][choice(SLOTS)];
    if (rarely(40)) return freed[choice(4)];
    return slots[kind][choice(SLOTS)];
}

static void release(int kind, void *object) {
    switch (kind) {
    case NETWORK: carousel_network_free(object); break;
    case STREAM: carousel_stream_free(object); break;
    case BUILDER: carousel_builder_free(object); break;
    case TAPE: carousel_tape_free(object); break;
    default: carousel_trainer_free(object);
    }
}

static void keep(int kind, void *object) {
    void **slot = &slots[kind][choice(SLOTS)];
    if (!object) return;
    release(kind, *slot);
    freed[kind % 4] = *slot;
    *slot = object;
}

/* ---- arrays that end where they say ---- */

enum { BLOCKS = 64 };
static void *blocks[BLOCKS];
static int block_count;

static void *block(size_t size) {
    if (block_count == BLOCKS) return NULL;
    return blocks[block_count++] = calloc(1, size ? size : 1);
}

static void free_blocks(void) {
    while (block_count > 0) free(blocks[--block_count]);
}

static float value(void) {
    static const float odd[] = {0, -0.0f, 1e-45f, 3e38f, INFINITY, -INFINITY, NAN, 1e9f};
    return rarely(30) ? odd[choice(8)] : (float)choice(256) / 64 - 2;
}

static void *floats(int64_t count) {
    float *data;
    int64_t i;
    if (count < 0 || count > LARGEST) return NULL;
    data = block((size_t)count * sizeof *data);
    for (i = 0; data && i < count; i++) data[i] = value();
    return data;
}

/* Gives the array memory for its shape, with gaps or backwards now and then. */
static void fill(carousel_array *array) {
    static const size_t widths[] = {4, 8, 4, 8, 8};
    size_t width;
    int64_t count = 1, span = 1, i;
    int axis, gap = rarely(6) ? 2 : 1, backwards = rarely(8);
    char *data;
    array->dtype = (carousel_dtype)(rarely(5) ? choice(5) : 0);
    width = widths[array->dtype];
    for (axis = 0; axis < array->rank && axis < 4; axis++) {
        if (array->shape[axis] < 0 || array->shape[axis] > LARGEST / count) {
            array->data = NULL;
            return;
        }
        count *= array->shape[axis] ? array->shape[axis] : 1;
    }
    for (axis = array->rank < 4 ? array->rank - 1 : 3; axis >= 0; axis--) {
        if (gap == 2 || backwards) array->strides[axis] = backwards ? -span * gap : span * gap;
        span *= array->shape[axis] ? array->shape[axis] : 1;
    }
    data = block((size_t)(span * gap) * width);
    if (!data) return;
    for (i = 0; i < span * gap; i++) {
        float number = array->dtype > CAROUSEL_FLOAT64 || rarely(2) ? (float)choice(4) : value();
        if (array->dtype == CAROUSEL_FLOAT32) ((float *)data)[i] = number;
        else if (array->dtype == CAROUSEL_FLOAT64) ((double *)data)[i] = number;
        else if (array->dtype == CAROUSEL_INT32) ((int32_t *)data)[i] = (int32_t)number;
        else ((int64_t *)data)[i] = (int64_t)number;
    }
    array->data = backwards ? data + (size_t)(span * gap - gap) * width : data;
    if (rarely(50)) array->shape[choice(4)] = extent(), array->data = NULL;
}

static carousel_array array(int32_t rank, int64_t a, int64_t b, int64_t c) {
    carousel_array result;
    memset(&result, 0, sizeof result);
    result.rank = rarely(40) ? (int32_t)choice(7) - 1 : rank;
    result.shape[0] = a, result.shape[1] = b, result.shape[2] = c;
    result.shape[3] = 1;
    fill(&result);
    return result;
}

/* What the network reads, for this batch and so many steps. */
static size_t inputs_of(
    carousel_network *network, int64_t batch, int64_t time, carousel_array *arrays) {
    carousel_network_info info;
    carousel_signal_info signal;
    size_t i;
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(signal);
    if (carousel_network_get_info(network, &info) != CAROUSEL_OK) return 0;
    for (i = 0; i < info.input_count && i < 4; i++) {
        carousel_network_get_input(network, i, &signal);
        arrays[i] = array(signal.rank, batch, signal.rank == 3 || signal.is_ids ? time
                          : signal.shape[1], signal.shape[2]);
    }
    return rarely(40) ? choice(4) : i;
}

static size_t outputs_of(
    carousel_network *network, int64_t batch, int64_t time, carousel_array *arrays) {
    carousel_network_info info;
    int64_t times[4];
    size_t i;
    for (i = 0; i < 4; i++) times[i] = time;
    CAROUSEL_INIT(info);
    if (carousel_network_get_info(network, &info) != CAROUSEL_OK) return 0;
    for (i = 0; i < info.output_count && i < 4; i++) {
        memset(&arrays[i], 0, sizeof arrays[i]);
        (void)carousel_network_get_output_shape(
            network, i, batch, times, info.input_count, &arrays[i]);
        fill(&arrays[i]);
        if (arrays[i].dtype > CAROUSEL_FLOAT64) arrays[i].data = NULL;
    }
    return i;
}

/* ---- builders ---- */

/* Now and then one field becomes something that no field should be. */
static void spoil(void *options, size_t size) {
    static const int32_t odd[] = {-1, INT32_MAX, INT32_MIN, 0x7ff00000, 0x7fc00000, 99};
    size_t field;
    if (!rarely(16)) return;
    field = rarely(4) ? choice((uint32_t)(size / 4)) : 2 + choice((uint32_t)(size / 4 - 2));
    memcpy((char *)options + 4 * field, &odd[choice(6)], 4);
}

static carousel_activation activation(void) {
    carousel_activation result;
    memset(&result, 0, sizeof result);
    if (rarely(3)) result.kind = (carousel_activation_kind)choice(17);
    if (rarely(8)) result.slope = rate(), result.maximum = rate(), result.has_maximum = flag();
    return result;
}

static carousel_recurrent_options recurrent(void) {
    carousel_recurrent_options result;
    memset(&result, 0, sizeof result);
    result.return_sequences = !rarely(3);
    result.go_backwards = flag();
    result.stateful = flag();
    if (rarely(4)) result.bidirectional = (carousel_bidirectional)choice(6);
    if (rarely(4)) result.padding = (carousel_padding)choice(4);
    result.learn_initial_state = flag();
    if (rarely(4)) result.dropout = rate(), result.recurrent_dropout = rate();
    return result;
}

static const char *layer_name(void) {
    static const char *const known[] = {"a", "b", "c", "d", "e", "f", "g", "h", "", "a/b", "\xff"};
    return known[rarely(12) ? choice(11) : choice(8)];
}

static void add_recurrent(carousel_builder *builder, const char *name) {
    carousel_lstm_options lstm;
    carousel_gru_options gru;
    carousel_simple_rnn_options simple;
    switch (choice(4)) {
    case 0:
        CAROUSEL_INIT(gru);
        gru.units = extent(), gru.recurrent = recurrent(), gru.activation = activation();
        gru.recurrent_activation = activation(), gru.no_bias = flag(), gru.reset_before = flag();
        spoil(&gru, sizeof gru);
        carousel_builder_add_gru(builder, name, &gru);
        break;
    case 1:
        CAROUSEL_INIT(simple);
        simple.units = extent(), simple.recurrent = recurrent(), simple.activation = activation();
        spoil(&simple, sizeof simple);
        carousel_builder_add_simple_rnn(builder, name, &simple);
        break;
    default:
        CAROUSEL_INIT(lstm);
        lstm.units = extent(), lstm.recurrent = recurrent();
        lstm.activation = activation(), lstm.output_activation = activation();
        lstm.recurrent_activation = activation();
        lstm.no_bias = flag(), lstm.no_input_gate = flag(), lstm.no_forget_gate = flag();
        lstm.no_output_gate = flag(), lstm.couple_gates = flag(), lstm.layer_norm = flag();
        lstm.peepholes = (int32_t)choice(9) - 1, lstm.dense_peepholes = flag();
        if (rarely(3)) lstm.projection_size = extent();
        if (rarely(4)) lstm.projection_clip = rate(), lstm.cell_clip = rate();
        if (rarely(4)) lstm.gate_clip = rate(), lstm.zoneout = rate();
        lstm.truncate_gates = flag();
        spoil(&lstm, sizeof lstm);
        carousel_builder_add_lstm(builder, name, &lstm);
    }
}

static void add_layer(carousel_builder *builder, const char *name) {
    carousel_dense_options dense;
    carousel_conv1d_options convolution;
    carousel_pooling1d_options pooling;
    carousel_normalization_options normalization;
    carousel_embedding_options embedding;
    carousel_activation act = activation();
    int64_t shape[4];
    switch (choice(18)) {
    case 0:
        CAROUSEL_INIT(embedding);
        embedding.vocabulary = extent(), embedding.dimension = extent();
        embedding.mask_zero = flag();
        carousel_builder_add_embedding(builder, name, &embedding);
        break;
    case 1: carousel_builder_add_activation(builder, name, &act); break;
    case 2: carousel_builder_add_prelu(builder, name, flag()); break;
    case 3: carousel_builder_add_masking(builder, name, value()); break;
    case 4:
        carousel_builder_add_dropout(builder, name, (carousel_dropout_kind)choice(6), rate());
        break;
    case 5:
    case 6:
        CAROUSEL_INIT(normalization);
        normalization.epsilon = rate(), normalization.momentum = rate();
        normalization.no_scale = flag(), normalization.no_center = flag();
        normalization.rms = flag();
        if (choice(2)) carousel_builder_add_batch_normalization(builder, name, &normalization);
        else carousel_builder_add_layer_normalization(builder, name, &normalization);
        break;
    case 7:
        CAROUSEL_INIT(convolution);
        convolution.filters = extent(), convolution.kernel_size = extent();
        if (rarely(3)) convolution.stride = extent(), convolution.dilation = extent();
        if (rarely(3)) convolution.groups = extent();
        convolution.padding = (carousel_convolution_padding)choice(4);
        spoil(&convolution, sizeof convolution);
        carousel_builder_add_conv1d(builder, name, &convolution);
        break;
    case 8:
        CAROUSEL_INIT(pooling);
        pooling.kind = (carousel_pooling_kind)choice(3), pooling.pad_to_same = flag();
        pooling.pool_size = extent();
        if (rarely(2)) pooling.stride = extent();
        carousel_builder_add_pooling1d(builder, name, &pooling);
        break;
    case 9:
        carousel_builder_add_global_pooling1d(
            builder, name, (carousel_pooling_kind)choice(3), flag());
        break;
    case 10: carousel_builder_add_flatten(builder, name); break;
    case 11:
        shape[0] = rarely(2) ? -1 : extent(), shape[1] = extent();
        carousel_builder_add_reshape(builder, name, shape, choice(4));
        break;
    case 12: carousel_builder_add_permute(builder, name); break;
    case 13: carousel_builder_add_repeat_vector(builder, name, extent()); break;
    case 14: carousel_builder_add_zero_padding1d(builder, name, extent(), extent()); break;
    case 15: carousel_builder_add_up_sampling1d(builder, name, extent()); break;
    case 16: carousel_builder_add_merge(builder, name, (carousel_merge_kind)choice(8)); break;
    default:
        CAROUSEL_INIT(dense);
        dense.units = extent(), dense.activation = activation(), dense.no_bias = flag();
        spoil(&dense, sizeof dense);
        carousel_builder_add_dense(builder, name, &dense);
    }
}

static void use_builder(void) {
    carousel_builder *builder = handle(BUILDER), *made = NULL;
    carousel_network *network = NULL;
    carousel_input_options options;
    const char *names[3];
    int i;
    switch (choice(16)) {
    case 0:
    case 1:
        CAROUSEL_INIT(options);
        options.is_ids = rarely(5);
        options.features = options.is_ids ? 0 : extent();
        options.time = rarely(3) ? extent() : -1;
        if (rarely(8)) options.batch = extent();
        if (choice(2) == 0) {
            carousel_builder_create(rarely(20) ? layer_name() : NULL, &made);
            keep(BUILDER, made);
            builder = made;
        }
        carousel_builder_add_input(builder, layer_name(), &options);
        break;
    case 2:
        for (i = 0; i < 3; i++) names[i] = layer_name();
        carousel_builder_read(builder, names, choice(4));
        break;
    case 3: carousel_builder_distribute(builder); break;
    case 4: carousel_builder_add_output(builder, layer_name()); break;
    case 5: carousel_builder_freeze(builder, layer_name()); break;
    case 6:
    case 7:
    case 8:
        carousel_builder_build(
            builder, rarely(4) ? (carousel_dtype)choice(5) : CAROUSEL_FLOAT32, choice(9), &network);
        keep(NETWORK, network);
        break;
    case 9:
    case 10:
    case 11:
    case 12: add_recurrent(builder, layer_name()); break;
    default: add_layer(builder, layer_name());
    }
}

/* ---- networks ---- */

static void write_parameters(carousel_network *network) {
    carousel_parameter_info info;
    int i;
    CAROUSEL_INIT(info);
    if (carousel_network_get_parameter(network, choice(12), &info) != CAROUSEL_OK) return;
    for (i = 0; i < 4 && info.count > 0; i++) {
        int64_t index = choice((uint32_t)info.count);
        if (info.dtype == CAROUSEL_FLOAT32) ((float *)info.data)[index] = value();
        else ((double *)info.data)[index] = value();
    }
    carousel_network_parameters_changed(network);
}

static void run_options(
    carousel_network *network, int64_t batch, int64_t time, carousel_run_options *options) {
    static carousel_array states[2][8];
    carousel_state_info state;
    size_t i;
    int64_t k;
    int64_t *lengths;
    /* Read as time-major, the arrays have as many rows as they have steps otherwise. */
    int64_t rows = time > batch && time <= LARGEST ? time : batch;
    CAROUSEL_INIT(*options);
    CAROUSEL_INIT(state);
    if (rarely(4) && batch > 0 && batch < 64 && (lengths = block((size_t)rows * 8)) != NULL) {
        for (k = 0; k < batch; k++) lengths[k] = rarely(20) ? extent() : (int64_t)choice(9);
        options->lengths = lengths;
    }
    if (rarely(4) && batch > 0 && time >= 0 && batch < 4096 && time < 4096 && batch * time < 4096) {
        uint8_t *mask = block((size_t)(batch * time));
        for (k = 0; mask && k < batch * time; k++) mask[k] = (uint8_t)choice(2);
        options->mask = mask;
    }
    options->padding = (carousel_padding)(rarely(4) ? choice(4) : 0);
    options->time_major = rarely(8);
    for (i = 0; i < 8; i++) {
        if (carousel_network_get_state(network, i, &state) != CAROUSEL_OK) break;
        states[0][i] = array(2, batch, state.width, 1);
        states[1][i] = array(2, batch, state.width, 1);
        if (states[1][i].dtype > CAROUSEL_FLOAT64) states[1][i].data = NULL;
    }
    if (rarely(3)) options->initial_states = states[0], options->initial_state_count = i;
    if (rarely(3)) options->final_states = states[1], options->final_state_count = i;
    options->threads = rarely(5) ? (int32_t)choice(5) - 1 : 1;
    options->training = flag();
}

static void use_network_handle(void) {
    carousel_network *network = handle(NETWORK), *other = NULL;
    carousel_array in[4], out[4];
    carousel_run_options options;
    carousel_record_options record;
    carousel_tape *tape = NULL;
    carousel_stream *stream = NULL;
    carousel_trainer *trainer = NULL;
    int64_t batch = rarely(20) ? extent() : 1 + (int64_t)choice(3);
    int64_t time = rarely(20) ? extent() : (int64_t)choice(9);
    char text[64];
    size_t length, in_count, out_count;
    void *data;
    memset(in, 0, sizeof in);
    memset(out, 0, sizeof out);
    switch (choice(12)) {
    case 0:
    case 1:
        in_count = inputs_of(network, batch, time, in);
        out_count = outputs_of(network, batch, time, out);
        run_options(network, batch, time, &options);
        carousel_network_run(network, in, in_count, out, out_count, rarely(3) ? NULL : &options);
        break;
    case 2:
    case 3:
        in_count = inputs_of(network, batch, time, in);
        run_options(network, batch, time, &options);
        CAROUSEL_INIT(record);
        record.run = rarely(3) ? NULL : &options;
        record.gradient_flow = flag();
        carousel_network_record(network, in, in_count, &record, &tape);
        keep(TAPE, tape);
        break;
    case 4:
        carousel_stream_create(network, batch, &stream);
        keep(STREAM, stream);
        break;
    case 5:
        carousel_network_copy(network, &other);
        keep(NETWORK, other);
        break;
    case 6: write_parameters(network); break;
    case 7: carousel_network_initialize(network, choice(3)); break;
    case 8:
        carousel_network_summary(network, text, choice(65), &length);
        carousel_network_to_json(network, text, choice(65), &length);
        carousel_network_get_parameter_buffer(network, &data, &length);
        break;
    case 9: carousel_network_reset_states(network); break;
    case 10:
        if (carousel_network_save(network, scratch_path("calls"), NULL) == CAROUSEL_OK)
            carousel_network_load_weights(handle(NETWORK), scratch_path("calls"), NULL);
        if (carousel_network_load(scratch_path("calls"), NULL, &other) == CAROUSEL_OK)
            keep(NETWORK, other);
        break;
    default: {
        carousel_trainer_options training;
        carousel_loss loss;
        memset(&loss, 0, sizeof loss);
        loss.kind = (carousel_loss_kind)choice(7), loss.from_logits = flag();
        CAROUSEL_INIT(training);
        training.losses = &loss, training.loss_count = 1;
        training.optimizer.kind = (carousel_optimizer_kind)choice(5);
        if (rarely(3)) training.optimizer.learning_rate = rate(), training.clip_norm = rate();
        if (rarely(4)) training.schedule.kind = (carousel_schedule_kind)choice(6);
        if (rarely(4)) training.schedule.interval = extent(), training.schedule.factor = rate();
        if (rarely(4)) training.micro_batch = extent(), training.segment = extent() % 1024 * 16;
        if (rarely(4)) {
            training.truncate_every = extent(), training.truncate_through = extent();
            training.eligibility_traces = flag();
        }
        if (rarely(4)) training.l1 = rate(), training.l2 = rate(), training.clip_value = rate();
        training.threads = 1;
        carousel_trainer_create(network, &training, &trainer);
        keep(TRAINER, trainer);
    }
    }
}

/* ---- streams, tapes, trainers ---- */

static void use_stream(void) {
    carousel_stream *stream = handle(STREAM), *copy = NULL;
    carousel_stream_info info;
    int64_t steps = rarely(10) ? extent() : (int64_t)choice(5);
    void *state;
    CAROUSEL_INIT(info);
    if (carousel_stream_get_info(stream, &info) != CAROUSEL_OK) memset(&info, 0, sizeof info);
    switch (choice(8)) {
    case 0:
    case 1: carousel_stream_step(stream, floats(info.input_count), floats(info.output_count)); break;
    case 2:
        if (steps > 0 && steps < 100)
            carousel_stream_steps(
                stream, floats(steps * info.input_count), steps, floats(steps * info.output_count));
        else if (steps > 1 << 20 || steps < 0) /* what memory cannot hold */
            carousel_stream_steps(stream, NULL, steps, NULL);
        break;
    case 3:
        if (info.state_size < 1 << 16 && (state = block(info.state_size)) != NULL) {
            carousel_stream_snapshot(stream, state, info.state_size);
            carousel_stream_restore(handle(STREAM), state, info.state_size);
        }
        break;
    case 4:
        carousel_stream_copy(stream, &copy);
        keep(STREAM, copy);
        break;
    case 5:
        carousel_stream_reset(stream);
        carousel_stream_set_threads(stream, (int32_t)choice(4));
        break;
    case 6: carousel_stream_update_weights(stream); break;
    default:
        if (carousel_stream_save(stream, scratch_path("stream"), NULL) == CAROUSEL_OK)
            carousel_stream_load(handle(STREAM), scratch_path("stream"));
    }
}

static void use_tape(void) {
    carousel_tape *tape = handle(TAPE);
    carousel_array gradients[4], result;
    void *data;
    size_t size, i;
    memset(gradients, 0, sizeof gradients);
    for (i = 0; i < 2; i++)
        gradients[i] = array(2 + (int32_t)choice(2), 1 + choice(3), 1 + choice(9), 1 + choice(9));
    switch (choice(4)) {
    case 0: {
        /* Gradients of the shapes that the network gives. */
        size_t count = outputs_of(handle(NETWORK), 1 + choice(3), choice(9), gradients);
        carousel_tape_backward(tape, gradients, count, NULL, 0);
        break;
    }
    case 1: carousel_tape_backward(tape, gradients, choice(3), NULL, 0); break;
    case 2:
        memset(&result, 0, sizeof result);
        i = choice(20);
        if (carousel_tape_get_trace_shape(
                tape, layer_name(), (carousel_trace_field)i, flag(), &result) == CAROUSEL_OK)
            fill(&result);
        carousel_tape_get_trace(tape, layer_name(), (carousel_trace_field)i, flag(), &result);
        break;
    default:
        carousel_tape_get_parameter_gradients(tape, &data, &size);
        carousel_tape_get_output(tape, choice(3), &gradients[0]);
        carousel_tape_get_final_state(tape, choice(5), &gradients[1]);
        carousel_tape_get_input_gradient(tape, choice(3), &gradients[0]);
    }
}

static void use_trainer(void) {
    carousel_trainer *trainer = handle(TRAINER);
    carousel_network *network = handle(NETWORK);
    carousel_training_data data;
    carousel_fit_options fit;
    carousel_step_result result;
    carousel_array in[4], targets[4];
    int64_t batch = 1 + choice(4), time = 1 + choice(8);
    CAROUSEL_INIT(data);
    CAROUSEL_INIT(fit);
    CAROUSEL_INIT(result);
    memset(in, 0, sizeof in);
    memset(targets, 0, sizeof targets);
    data.inputs = in, data.targets = targets;
    data.input_count = inputs_of(network, batch, time, in);
    data.target_count = outputs_of(network, batch, time, targets);
    switch (choice(8)) {
    case 0:
    case 1:
    case 2: carousel_trainer_step(trainer, &data, &result); break;
    case 3:
        fit.epochs = 1 + choice(2), fit.batch_size = rarely(5) ? extent() : 1 + (int64_t)choice(3);
        fit.no_shuffle = flag(), fit.early_stopping = flag(), fit.keep_last = flag();
        if (rarely(4)) fit.validation_split = rate();
        carousel_trainer_fit(trainer, &data, NULL, &fit);
        break;
    case 4: carousel_trainer_evaluate(trainer, &data, extent(), &result); break;
    case 5: carousel_trainer_compute_gradients(trainer, &data, flag(), &result); break;
    case 6: carousel_trainer_apply_gradients(trainer, NULL); break;
    default:
        if (carousel_trainer_save(trainer, scratch_path("trainer")) == CAROUSEL_OK)
            carousel_trainer_resume(handle(TRAINER), scratch_path("trainer"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int calls, kind, i;
    input.data = data;
    input.size = size;
    memset(freed, 0, sizeof freed);
    for (calls = 0; calls < MOST_CALLS && input.size > 0; calls++) {
        switch (choice(16)) {
        case 0: case 1: case 2: case 3: case 4: case 5: use_builder(); break;
        case 6: case 7: case 8: case 9: use_network_handle(); break;
        case 10: case 11: use_stream(); break;
        case 12: use_tape(); break;
        case 13: case 14: use_trainer(); break;
        default:
            kind = (int)choice(KINDS);
            i = (int)choice(SLOTS);
            release(kind, slots[kind][i]);
            freed[kind % 4] = slots[kind][i];
            slots[kind][i] = NULL;
        }
        free_blocks();
    }
    for (kind = 0; kind < KINDS; kind++)
        for (i = 0; i < SLOTS; i++) release(kind, slots[kind][i]);
    memset(slots, 0, sizeof slots);
    return 0;
}
