/* A step of a stream, and what resets, copies out or copies in its state, allocates nothing, takes no lock and makes no system call, for every kind of
 * layer that runs step by step: the allocator and the mutexes are counted by functions of this
 * program that stand before the C library's, and the steps run under strict seccomp, where any system
 * call but read and write kills the process. */
#define _GNU_SOURCE
#include "harness.h"
#include "process_memory.h"

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int allocations, locks;


void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    allocations++;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}
void free(void *memory) {
    allocations++;
    __libc_free(memory);
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    static int (*next)(pthread_mutex_t *);
    locks++;
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return next(mutex);
}

static carousel_builder *builder;

static void begin(int is_ids, int64_t features) {
    carousel_input_options input;
    CAROUSEL_INIT(input);
    input.is_ids = is_ids;
    input.features = is_ids ? 0 : features;
    input.time = -1;
    SUCCEEDS(carousel_builder_create(NULL, &builder));
    SUCCEEDS(carousel_builder_add_input(builder, "input", &input));
}

/* The three ways of stepping. */
static int take_steps(
    carousel_stream *stream, const float *input, float *output, const carousel_array *in,
    const carousel_array *out) {
    int i, code = 0;
    for (i = 0; i < 50; i++) code |= carousel_stream_step(stream, input, output);
    for (i = 0; i < 10; i++) code |= carousel_stream_steps(stream, input, 1, output);
    for (i = 0; i < 10; i++) code |= carousel_stream_step_arrays(stream, in, 1, out, 1);
    return code;
}

/* What an audio host does between blocks. */
static int move_state(carousel_stream *stream, void *state) {
    carousel_stream_info info;
    int code = 0;
    CAROUSEL_INIT(info);
    code |= carousel_stream_get_info(stream, &info);
    code |= carousel_stream_snapshot(stream, state, info.state_size);
    code |= carousel_stream_reset(stream);
    code |= carousel_stream_restore(stream, state, info.state_size);
    return code;
}

static carousel_array row_array(float *data, int64_t batch, int64_t count, int is_ids) {
    return array_of(data, is_ids ? 1 : 2, batch, count / batch, 1);
}

static void check_stream(const char *what, carousel_network *network, int64_t batch, int is_ids) {
    carousel_stream *stream = NULL;
    carousel_stream_info info;
    carousel_array in, out;
    float *input, *output;
    void *state;
    int i, made, taken, code;
    pid_t child;
    CAROUSEL_INIT(info);
    if (carousel_stream_create(network, batch, &stream) != CAROUSEL_OK) {
        fprintf(stderr, "%s: %s\n", what, carousel_last_error_message());
        CHECK(!"the network can be streamed");
        return;
    }
    SUCCEEDS(carousel_stream_get_info(stream, &info));
    input = malloc((size_t)info.input_count * sizeof(float));
    output = malloc((size_t)info.output_count * sizeof(float));
    state = malloc(info.state_size + 1);
    for (i = 0; i < info.input_count; i++) input[i] = (float)(i % 3);
    in = row_array(input, batch, info.input_count, is_ids);
    out = row_array(output, batch, info.output_count, 0);
    /* What is resolved or set up once happens in the first steps. */
    code = take_steps(stream, input, output, &in, &out) | move_state(stream, state);
    allocations = locks = 0;
    code |= take_steps(stream, input, output, &in, &out) | move_state(stream, state);
    made = allocations, taken = locks;
    CHECK(code == 0);
    if (made || taken)
        fprintf(stderr, "%s, batch %d: %d allocations, %d locks\n", what, (int)batch, made, taken);
    CHECK(made == 0);
    CHECK(taken == 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        code = take_steps(stream, input, output, &in, &out) | move_state(stream, state);
        syscall(SYS_exit, code != 0);
    }
    waitpid(child, &code, 0);
    if (!WIFEXITED(code) || WEXITSTATUS(code)) fprintf(stderr, "%s: a system call\n", what);
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    free(input);
    free(output);
    free(state);
    carousel_stream_free(stream);
}

static void check_rows(const char *what, carousel_network *network) {
    carousel_signal_info signal;
    CAROUSEL_INIT(signal);
    if (!network) return;
    SUCCEEDS(carousel_network_get_input(network, 0, &signal));
    check_stream(what, network, 1, signal.is_ids);
    check_stream(what, network, 2, signal.is_ids);
}

/* The network in the builder, for one row and for two, in every precision. */
static void check_steps(const char *what) {
    carousel_network *network = NULL, *exact = NULL;
    int precision;
    SUCCEEDS(carousel_builder_build(builder, CAROUSEL_FLOAT32, 3, &network));
    SUCCEEDS(carousel_builder_build(builder, CAROUSEL_FLOAT64, 3, &exact));
    carousel_builder_free(builder);
    for (precision = CAROUSEL_PRECISION_BFLOAT16; precision <= CAROUSEL_PRECISION_INT8; precision++) {
        carousel_network *quantized = NULL;
        char text[80];
        snprintf(text, sizeof text, "%s in precision %d", what, precision);
        SUCCEEDS(carousel_network_quantize(network, (carousel_precision)precision, &quantized));
        check_rows(text, quantized);
        carousel_network_free(quantized);
    }
    check_rows(what, network);
    check_rows(what, exact);
    carousel_network_free(network);
    carousel_network_free(exact);
}

/* The hooks see what they should see, and seccomp kills. */
static void check_the_checks(void) {
    int status;
    pid_t child;
    void *volatile memory;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    allocations = locks = 0;
    memory = malloc(10);
    free(memory);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    CHECK(allocations == 2 && locks == 1);
    /* The library's allocations come here, too. */
    allocations = 0;
    carousel_network_free(make_network(CAROUSEL_FLOAT32, 1));
    CHECK(allocations > 10);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        (void)getppid();
        syscall(SYS_exit, 0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
}

static carousel_lstm_options lstm(int64_t units) {
    carousel_lstm_options options;
    CAROUSEL_INIT(options);
    options.units = units;
    options.recurrent.return_sequences = 1;
    return options;
}

/* Every switch of the cells. */
static void check_cells(void) {
    carousel_lstm_options cell;
    carousel_gru_options gru;
    carousel_simple_rnn_options simple;
    char what[32];
    int kind;
    for (kind = 0; kind < 18; kind++) {
        cell = lstm(kind == 9 ? 100 : 7);
        snprintf(what, sizeof what, "LSTM %d", kind);
        if (kind == 1) cell.peepholes = 7;
        if (kind == 2) cell.couple_gates = 1;
        if (kind == 3) cell.no_forget_gate = 1;
        if (kind == 4) cell.projection_size = 3;
        if (kind == 5) cell.layer_norm = 1;
        if (kind == 6) cell.cell_clip = 1, cell.gate_clip = 2;
        if (kind == 7) cell.activation.kind = CAROUSEL_ACTIVATION_SOFTSIGN;
        if (kind == 8) cell.dense_peepholes = 1, cell.peepholes = 7;
        if (kind == 10) cell.no_input_gate = cell.no_forget_gate = cell.no_output_gate = 1;
        if (kind == 11) cell.recurrent_activation.kind = CAROUSEL_ACTIVATION_HARD_SIGMOID;
        if (kind == 12) cell.no_bias = 1, cell.zoneout = 0.1;
        if (kind == 13) cell.recurrent.learn_initial_state = 1;
        if (kind == 14) cell.recurrent.stateful = 1;
        if (kind == 15) cell.recurrent.dropout = cell.recurrent.recurrent_dropout = 0.5;
        if (kind == 16) cell.projection_size = 3, cell.projection_clip = 0.5, cell.peepholes = 5;
        if (kind == 17) cell.units = 400; /* large enough for two threads, if a step used them */
        begin(0, 3);
        SUCCEEDS(carousel_builder_add_lstm(builder, "lstm", &cell));
        check_steps(what);
    }
    for (kind = 0; kind < 3; kind++) {
        CAROUSEL_INIT(gru);
        gru.units = 9;
        gru.reset_before = kind == 1;
        gru.recurrent.learn_initial_state = kind == 2;
        begin(0, 3);
        SUCCEEDS(carousel_builder_add_gru(builder, "gru", &gru));
        check_steps("GRU");
    }
    CAROUSEL_INIT(simple);
    simple.units = 9;
    begin(0, 3);
    SUCCEEDS(carousel_builder_add_simple_rnn(builder, "rnn", &simple));
    check_steps("SimpleRNN");
}

static void check_merges(void) {
    const char *both[2] = {"one", "two"};
    char what[32];
    carousel_lstm_options cell = lstm(20);
    int kind;
    for (kind = CAROUSEL_MERGE_CONCATENATE; kind <= CAROUSEL_MERGE_MINIMUM; kind++) {
        snprintf(what, sizeof what, "merge %d", kind);
        begin(0, 20);
        SUCCEEDS(carousel_builder_add_lstm(builder, "one", &cell));
        SUCCEEDS(carousel_builder_add_lstm(builder, "two", &cell));
        SUCCEEDS(carousel_builder_read(builder, both, 2));
        SUCCEEDS(carousel_builder_add_merge(builder, "merge", (carousel_merge_kind)kind));
        check_steps(what);
    }
}

static void check_convolutions(void) {
    carousel_conv1d_options convolution;
    CAROUSEL_INIT(convolution);
    convolution.filters = 6;
    convolution.kernel_size = 3;
    convolution.dilation = 2;
    convolution.groups = 2;
    convolution.padding = CAROUSEL_CONVOLUTION_CAUSAL;
    begin(0, 4);
    SUCCEEDS(carousel_builder_add_conv1d(builder, "convolution", &convolution));
    check_steps("causal convolution");
}

/* What works on the features of one step, one behind the other. */
static void check_chain(void) {
    carousel_lstm_options cell = lstm(20);
    carousel_dense_options dense;
    carousel_normalization_options rms;
    carousel_activation activation;
    char name[32];
    int kind;
    CAROUSEL_INIT(dense);
    CAROUSEL_INIT(rms);
    dense.units = 3;
    dense.activation.kind = CAROUSEL_ACTIVATION_SOFTMAX;
    rms.rms = 1;
    begin(0, 4);
    SUCCEEDS(carousel_builder_add_masking(builder, "masking", 0));
    SUCCEEDS(carousel_builder_add_lstm(builder, "lstm", &cell));
    for (kind = CAROUSEL_DROPOUT; kind <= CAROUSEL_DROPOUT_ALPHA; kind++) {
        snprintf(name, sizeof name, "dropout%d", kind);
        SUCCEEDS(carousel_builder_add_dropout(builder, name, (carousel_dropout_kind)kind, 0.5));
    }
    SUCCEEDS(carousel_builder_add_batch_normalization(builder, "batch", NULL));
    SUCCEEDS(carousel_builder_add_layer_normalization(builder, "layer", NULL));
    SUCCEEDS(carousel_builder_add_layer_normalization(builder, "rms", &rms));
    SUCCEEDS(carousel_builder_add_prelu(builder, "prelu", 1));
    SUCCEEDS(carousel_builder_distribute(builder));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &dense));
    for (kind = CAROUSEL_ACTIVATION_LINEAR; kind <= CAROUSEL_ACTIVATION_SOFTMAX; kind++) {
        snprintf(name, sizeof name, "activation%d", kind);
        memset(&activation, 0, sizeof activation);
        activation.kind = (carousel_activation_kind)kind;
        SUCCEEDS(carousel_builder_add_activation(builder, name, &activation));
    }
    check_steps("all that works feature by feature");
}

static void check_language_model(void) {
    const char *both[2] = {"one", "two"};
    carousel_lstm_options cell = lstm(20);
    carousel_embedding_options embedding;
    carousel_dense_options dense;
    CAROUSEL_INIT(embedding);
    CAROUSEL_INIT(dense);
    embedding.vocabulary = 5;
    embedding.dimension = 4;
    embedding.mask_zero = 1;
    dense.units = 3;
    dense.activation.kind = CAROUSEL_ACTIVATION_SOFTMAX;
    begin(1, 0);
    SUCCEEDS(carousel_builder_add_embedding(builder, "embedding", &embedding));
    SUCCEEDS(carousel_builder_add_lstm(builder, "one", &cell));
    SUCCEEDS(carousel_builder_add_lstm(builder, "two", &cell));
    SUCCEEDS(carousel_builder_read(builder, both, 2));
    SUCCEEDS(carousel_builder_add_merge(builder, "sum", CAROUSEL_MERGE_ADD));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &dense));
    check_steps("a residual language model");
}

int main(void) {
    check_the_checks();
    check_cells();
    check_merges();
    check_convolutions();
    check_chain();
    check_language_model();
    return finish();
}
