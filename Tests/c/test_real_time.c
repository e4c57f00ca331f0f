/* A step of a stream allocates nothing, takes no lock and makes no system call, for every kind of
 * layer that runs step by step: the allocator and the mutexes are counted by functions of this
 * program that stand before the C library's, and the steps run under strict seccomp, where any system
 * call but read and write kills the process. */
#define _GNU_SOURCE
#include "harness.h"

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int allocations, locks;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

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

/* 200 steps of a network; frees it. */
static void check_network_steps(const char *what, carousel_network *network) {
    carousel_stream *stream = NULL;
    carousel_stream_info info;
    float *input, *output;
    int i, made, taken, code = 0;
    pid_t child;
    CAROUSEL_INIT(info);
    if (!network || carousel_stream_create(network, 2, &stream) != CAROUSEL_OK) {
        fprintf(stderr, "%s: %s\n", what, carousel_last_error_message());
        CHECK(!"the network can be streamed");
        carousel_network_free(network);
        return;
    }
    SUCCEEDS(carousel_stream_get_info(stream, &info));
    input = malloc((size_t)info.input_count * sizeof(float));
    output = malloc((size_t)info.output_count * sizeof(float));
    for (i = 0; i < info.input_count; i++) input[i] = (float)(i % 3);
    /* What is resolved or set up once happens in the first step. */
    SUCCEEDS(carousel_stream_step(stream, input, output));
    allocations = locks = 0;
    for (i = 0; i < 200; i++) code |= carousel_stream_step(stream, input, output);
    made = allocations, taken = locks;
    CHECK(code == 0);
    if (made || taken) fprintf(stderr, "%s: %d allocations, %d locks\n", what, made, taken);
    CHECK(made == 0);
    CHECK(taken == 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        for (i = 0; i < 200; i++) code |= carousel_stream_step(stream, input, output);
        syscall(SYS_exit, code);
    }
    waitpid(child, &code, 0);
    if (!WIFEXITED(code) || WEXITSTATUS(code)) fprintf(stderr, "%s: a system call\n", what);
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    free(input);
    free(output);
    carousel_stream_free(stream);
    carousel_network_free(network);
}

/* The network in the builder, in every precision. */
static void check_steps(const char *what) {
    carousel_network *network = NULL, *quantized;
    int precision;
    SUCCEEDS(carousel_builder_build(builder, CAROUSEL_FLOAT32, 3, &network));
    carousel_builder_free(builder);
    for (precision = CAROUSEL_PRECISION_BFLOAT16; precision <= CAROUSEL_PRECISION_INT8; precision++) {
        char text[80];
        quantized = NULL;
        snprintf(text, sizeof text, "%s in precision %d", what, precision);
        SUCCEEDS(carousel_network_quantize(network, (carousel_precision)precision, &quantized));
        check_network_steps(text, quantized);
    }
    check_network_steps(what, network);
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

int main(void) {
    carousel_lstm_options cell;
    carousel_gru_options gru;
    carousel_simple_rnn_options simple;
    carousel_dense_options dense;
    carousel_embedding_options embedding;
    carousel_activation activation;
    const char *both[2] = {"one", "two"};
    int kind;
    check_the_checks();

    for (kind = 0; kind < 10; kind++) {
        char what[32];
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
        begin(0, 3);
        SUCCEEDS(carousel_builder_add_lstm(builder, "lstm", &cell));
        check_steps(what);
    }
    for (kind = 0; kind < 2; kind++) {
        CAROUSEL_INIT(gru);
        gru.units = 9;
        gru.reset_before = kind;
        begin(0, 3);
        SUCCEEDS(carousel_builder_add_gru(builder, "gru", &gru));
        check_steps("GRU");
    }
    CAROUSEL_INIT(simple);
    simple.units = 9;
    begin(0, 3);
    SUCCEEDS(carousel_builder_add_simple_rnn(builder, "rnn", &simple));
    check_steps("SimpleRNN");

    CAROUSEL_INIT(embedding);
    CAROUSEL_INIT(dense);
    embedding.vocabulary = 5;
    embedding.dimension = 4;
    embedding.mask_zero = 1;
    dense.units = 3;
    dense.activation.kind = CAROUSEL_ACTIVATION_SOFTMAX;
    begin(1, 0);
    cell = lstm(20);
    SUCCEEDS(carousel_builder_add_embedding(builder, "embedding", &embedding));
    SUCCEEDS(carousel_builder_add_lstm(builder, "one", &cell));
    SUCCEEDS(carousel_builder_add_lstm(builder, "two", &cell));
    SUCCEEDS(carousel_builder_read(builder, both, 2));
    SUCCEEDS(carousel_builder_add_merge(builder, "sum", CAROUSEL_MERGE_ADD));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &dense));
    check_steps("a residual language model");

    begin(0, 4);
    SUCCEEDS(carousel_builder_add_masking(builder, "masking", 0));
    SUCCEEDS(carousel_builder_add_lstm(builder, "lstm", &cell));
    SUCCEEDS(carousel_builder_add_dropout(builder, "dropout", CAROUSEL_DROPOUT, 0.5));
    SUCCEEDS(carousel_builder_add_batch_normalization(builder, "batch", NULL));
    SUCCEEDS(carousel_builder_add_layer_normalization(builder, "layer", NULL));
    SUCCEEDS(carousel_builder_add_prelu(builder, "prelu", 1));
    SUCCEEDS(carousel_builder_distribute(builder));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &dense));
    for (kind = CAROUSEL_ACTIVATION_LINEAR; kind <= CAROUSEL_ACTIVATION_SOFTMAX; kind++) {
        char name[32];
        snprintf(name, sizeof name, "activation%d", kind);
        memset(&activation, 0, sizeof activation);
        activation.kind = (carousel_activation_kind)kind;
        SUCCEEDS(carousel_builder_add_activation(builder, name, &activation));
    }
    check_steps("all that works feature by feature");
    return finish();
}
