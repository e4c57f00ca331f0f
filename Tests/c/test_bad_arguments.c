/* Every function of the header with every kind of bad value in every place: each must give an error
 * whose message begins with the function's name and names the argument; none may crash. A function of the header that is
 * not in the table fails the test.
 *
 * The table calls all functions through one type. That is outside the C standard, but all
 * arguments here are integers and pointers, which the calling conventions of x86-64 and AArch64
 * pass in the same registers whatever their type. */
#include "harness.h"

#include <ctype.h>
#include <stdint.h>

typedef void (*any_function)(void);
typedef carousel_status (*call_type)(
    intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t);

/* One argument: a good value, and bad ones with which the call must fail. */
typedef struct argument {
    intptr_t good;
    const intptr_t *bad;
    size_t bad_count;
    /* Values with which the call may do what it likes, but not crash. */
    const intptr_t *odd;
    size_t odd_count;
    /* A message may quote the path instead of naming the argument. */
    int is_path;
} argument;

/* The header without comments and macros. */
static char header[1 << 18];
static size_t header_length;

static void read_header(const char *path) {
    FILE *file = fopen(path, "r");
    size_t i;
    if (!file) {
        CHECK(!"the header can be read");
        return;
    }
    header_length = fread(header, 1, sizeof header - 1, file);
    fclose(file);
    CHECK(header_length > 1000 && header_length < sizeof header - 1);
    for (i = 0; i + 1 < header_length; i++) {
        if (header[i] == '/' && header[i + 1] == '*') {
            for (; i + 1 < header_length && !(header[i] == '*' && header[i + 1] == '/'); i++)
                header[i] = ' ';
            header[i] = header[i + 1] = ' ';
        }
        if (header[i] == '#' && (i == 0 || header[i - 1] == '\n'))
            for (; i < header_length && !(header[i] == '\n' && header[i - 1] != '\\'); i++)
                header[i] = ' ';
    }
}

static int is_in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

static int begins_name(size_t at, const char *name) {
    return strncmp(&header[at], name, strlen(name)) == 0 && at > 0 && !is_in_name(header[at - 1]);
}

/* What the header calls parameter number `place` of a function. */
static const char *parameter_name(const char *function, size_t place) {
    static char name[64];
    const size_t length = strlen(function);
    size_t i, end;
    for (i = 1; i < header_length; i++)
        if (begins_name(i, function) && header[i + length] == '(') break;
    for (i += length; place > 0 && i < header_length; i++) place -= header[i] == ',';
    for (end = i + 1; end < header_length && header[end] != ',' && header[end] != ')';) end++;
    for (i = end; is_in_name(header[i - 1]);) i--;
    snprintf(name, sizeof name, "%.*s", (int)(end - i), &header[i]);
    return name;
}

static const char *tested[512];
static size_t tested_count;

/* What the functions that make handles store, and how it is freed. */
static void *made;
static void free_nothing(void *handle) { (void)handle; }
static void free_network(void *handle) { carousel_network_free(handle); }
static void free_stream(void *handle) { carousel_stream_free(handle); }
static void free_builder(void *handle) { carousel_builder_free(handle); }
static void free_tape(void *handle) { carousel_tape_free(handle); }
static void free_trainer(void *handle) { carousel_trainer_free(handle); }
static void (*free_made)(void *) = free_nothing;

static carousel_status invoke(any_function function, const intptr_t *a) {
    carousel_status status;
    made = NULL;
    status = ((call_type)function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    if (made) free_made(made);
    return status;
}

static void describe(const char *name, size_t place, intptr_t value, const char *problem) {
    fprintf(stderr, "%s: argument %d = %lld: %s (%s)\n", name, (int)place + 1, (long long)value,
            problem, carousel_last_error_message());
    checks_failed++;
}

static void row(const char *name, any_function function, const argument *arguments, size_t count) {
    intptr_t values[8] = {0};
    size_t i, j;
    tested[tested_count++] = name;
    for (i = 0; i < count; i++) values[i] = arguments[i].good;
    checks_made++;
    if (invoke(function, values) != CAROUSEL_OK) describe(name, 0, 0, "good values were refused");
    for (i = 0; i < count; i++) {
        for (j = 0; j < arguments[i].bad_count; j++) {
            const char *message;
            carousel_status status;
            values[i] = arguments[i].bad[j];
            status = invoke(function, values);
            message = carousel_last_error_message();
            checks_made++;
            if (status == CAROUSEL_OK) describe(name, i, values[i], "accepted");
            else if (strncmp(message, name, strlen(name)) || message[strlen(name)] != ':')
                describe(name, i, values[i], "the message does not name the function");
            else if (!strstr(message + strlen(name), parameter_name(name, i)) &&
                     !(arguments[i].is_path && strstr(message, (const char *)values[i])))
                describe(name, i, values[i], "the message does not name the argument");
        }
        for (j = 0; j < arguments[i].odd_count; j++) {
            values[i] = arguments[i].odd[j];
            checks_made++;
            (void)invoke(function, values);
        }
        values[i] = arguments[i].good;
    }
}

#define ROW(function, ...)                                                         \
    row(#function, (any_function)function, (const argument[]){__VA_ARGS__},        \
        sizeof((const argument[]){__VA_ARGS__}) / sizeof(argument))

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define P(pointer) ((intptr_t)(pointer))

static argument any(intptr_t good) {
    argument result = {0};
    result.good = good;
    return result;
}
static argument with(intptr_t good, const intptr_t *bad, size_t count) {
    argument result = any(good);
    result.bad = bad;
    result.bad_count = count;
    return result;
}

static const intptr_t null_only[] = {0};
static argument pointer(const void *good) { return with(P(good), null_only, 1); }

static argument path_of(const char *good, const intptr_t *bad, size_t count) {
    argument result = with(P(good), bad, count);
    result.is_path = 1;
    return result;
}

static const intptr_t bad_sizes[] = {-1, INT64_MIN, INT64_MAX, (intptr_t)1 << 40};
static const intptr_t bad_batches[] = {0, -1, INT64_MIN, INT64_MAX, (intptr_t)1 << 40};
static argument batch_of(int64_t good) { return with(good, bad_batches, COUNT(bad_batches)); }
static argument time_of(int64_t good) { return with(good, bad_sizes, COUNT(bad_sizes)); }

static const intptr_t bad_counts[] = {0, 77, -1, INTPTR_MAX, INTPTR_MIN};
static argument count_of(size_t good) { return with((intptr_t)good, bad_counts, 5); }
static argument index_of(size_t good) { return with((intptr_t)good, bad_counts + 1, 4); }

static const intptr_t bad_enums[] = {99, -1, INT32_MAX};
static argument enum_of(int good) { return with(good, bad_enums, 3); }

static const intptr_t bad_threads[] = {-1, 1025, INT32_MIN, INT32_MAX};
static argument threads_of(int good) { return with(good, bad_threads, COUNT(bad_threads)); }

static char long_text[6000];
static intptr_t bad_texts[] = {0, P("\xff\xfe"), P("a\xc3"), 0};
static argument text(const char *good) {
    bad_texts[3] = P(long_text);
    return with(P(good), bad_texts, 4);
}
/* Texts that no layer may be named. */
static intptr_t bad_names[] = {0, P("\xff\xfe"), 0, P(""), P("a/b"), P("input")};
static int name_number;
static argument new_name(void) {
    static char names[256][24];
    char *name = names[name_number++ % 256];
    snprintf(name, sizeof names[0], "layer%d", name_number);
    bad_names[2] = P(long_text);
    return with(P(name), bad_names, 6);
}

static int on_stack;
static intptr_t bad_handles[5][6];
/* A handle: NULL, one of another type, one that was freed, and what is none. */
static argument handle(int kind, void *good, void *other, void *freed) {
    intptr_t *bad = bad_handles[kind];
    bad[0] = 0;
    bad[1] = P(other);
    bad[2] = P(freed);
    bad[3] = P(&on_stack);
    bad[4] = P((char *)good + 4);
    bad[5] = (intptr_t)0xDEADBEEF;
    return with(P(good), bad, 6);
}

/* Options and information structs: wrong sizes must fail; any word set to something strange
 * must not crash (in structs without pointers). */
enum { LARGEST_STRUCT = 512, MOST_MUTANTS = 6 * LARGEST_STRUCT / 8, STRUCTS = 48 };
static uint64_t mutants[STRUCTS][MOST_MUTANTS][LARGEST_STRUCT / 8];
static intptr_t bad_structs[STRUCTS][4], odd_structs[STRUCTS][MOST_MUTANTS + 1];
static int struct_number;

static argument structure(const void *good, size_t size, int may_be_null, int has_pointers) {
    static const uint64_t strange[] = {
        UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 0x7FF8000000000000 /* NaN */,
        0x7FEFFFFFFFFFFFFF /* the largest double */, 0x7F};
    const int number = struct_number++;
    uint64_t(*mutant)[LARGEST_STRUCT / 8] = mutants[number];
    intptr_t *bad = bad_structs[number], *odd = odd_structs[number];
    static const size_t sizes[] = {0, 1, SIZE_MAX};
    argument result;
    size_t i, word, n = 0;
    if (size > LARGEST_STRUCT || number >= STRUCTS) abort();
    for (i = 0; i < 3; i++, n++) {
        memcpy(mutant[n], good, size);
        memcpy(mutant[n], &sizes[i], sizeof(size_t));
        bad[i] = P(mutant[n]);
    }
    bad[3] = 0;
    result = with(P(good), bad, may_be_null ? 3 : 4);
    result.odd = odd;
    for (word = 1; !has_pointers && word < size / 8; word++) {
        for (i = 0; i < COUNT(strange); i++, n++) {
            if (n >= MOST_MUTANTS) abort();
            memcpy(mutant[n], good, size);
            mutant[n][word] = strange[i];
            odd[result.odd_count++] = P(mutant[n]);
        }
    }
    return result;
}
#define OPTIONS(value) structure(&(value), sizeof(value), 0, 0)
#define OPTIONAL(value) structure(&(value), sizeof(value), 1, 0)
#define OPTIONAL_WITH_POINTERS(value) structure(&(value), sizeof(value), 1, 1)
#define INFO(value) structure(&(value), sizeof(value), 0, 1)

/* Arrays that are wrong in one thing. */
enum { ARRAY_FAULTS = 16, ARRAYS = 20 };
static carousel_array faulty[ARRAYS][ARRAY_FAULTS];
static intptr_t bad_arrays[ARRAYS][ARRAY_FAULTS + 1];
static int array_number;

static argument array(const carousel_array *good, int is_written) {
    const int number = array_number++;
    carousel_array *a = faulty[number];
    intptr_t *bad = bad_arrays[number];
    size_t n = 0, i;
    if (number >= ARRAYS) abort();
    for (i = 0; i < ARRAY_FAULTS; i++) a[i] = *good;
    a[n++].data = NULL;
    a[n++].rank = 0;
    a[n++].rank = -1;
    a[n++].rank = 9;
    a[n++].rank = INT32_MAX;
    a[n++].dtype = (carousel_dtype)99;
    a[n++].dtype = (carousel_dtype)-1;
    a[n++].shape[0] = 0;
    a[n++].shape[0] = -1;
    a[n++].shape[0] = INT64_MAX;
    a[n++].shape[1] = INT64_MIN;
    a[n++].shape[good->rank - 1] = 1000;
    a[n].strides[0] = INT64_MAX, a[n++].shape[0] = 5;
    a[n].strides[1] = INT64_MIN, a[n++].shape[1] = 77;
    if (is_written) a[n++].dtype = CAROUSEL_INT64;
    for (i = 0; i < n; i++) bad[i] = P(&a[i]);
    bad[n++] = 0;
    return with(P(good), bad, n);
}

static carousel_network *network;
static carousel_stream *stream;
static carousel_builder *builder;
static carousel_tape *tape;
static carousel_trainer *trainer;
static argument a_network, a_stream, a_builder, a_tape, a_trainer;
static float input[2 * 3 * 3], output[2 * 2], state[2 * 5];
static carousel_array x, y, step_x, step_y, h;

static void make_handles(void) {
    carousel_network *freed_network = NULL;
    carousel_stream *freed_stream = NULL;
    carousel_builder *freed_builder = NULL;
    carousel_tape *freed_tape = NULL;
    carousel_input_options options;
    CAROUSEL_INIT(options);
    options.features = 3;
    options.time = -1;
    x = array_of(input, 3, 2, 3, 3);
    y = array_of(output, 2, 2, 2, 0);
    step_x = array_of(input, 2, 2, 3, 0);
    step_y = array_of(output, 2, 2, 2, 0);
    h = array_of(state, 2, 2, 5, 0);
    network = make_network(CAROUSEL_FLOAT32, 0);
    SUCCEEDS(carousel_stream_create(network, 2, &stream));
    SUCCEEDS(carousel_builder_create("builder", &builder));
    SUCCEEDS(carousel_builder_add_input(builder, "input", &options));
    SUCCEEDS(carousel_network_record(network, &x, 1, NULL, &tape));
    SUCCEEDS(carousel_tape_backward(tape, &y, 1, NULL, 0));
    SUCCEEDS(carousel_network_copy(network, &freed_network));
    SUCCEEDS(carousel_stream_copy(stream, &freed_stream));
    SUCCEEDS(carousel_builder_create("freed", &freed_builder));
    SUCCEEDS(carousel_network_record(network, &x, 1, NULL, &freed_tape));
    carousel_network_free(freed_network);
    carousel_stream_free(freed_stream);
    carousel_builder_free(freed_builder);
    carousel_tape_free(freed_tape);
    a_network = handle(0, network, stream, freed_network);
    a_stream = handle(1, stream, network, freed_stream);
    a_builder = handle(2, builder, tape, freed_builder);
    a_tape = handle(3, tape, builder, freed_tape);
}

/* Frees get everything that is no handle, and NULL; they report and do nothing. */
static void check_free(const char *name, void (*function)(void *), argument a) {
    size_t i;
    tested[tested_count++] = name;
    function(NULL);
    for (i = 1; i < a.bad_count; i++) {
        function((void *)a.bad[i]);
        checks_made++;
        if (strncmp(carousel_last_error_message(), name, strlen(name)))
            describe(name, 0, a.bad[i], "not reported");
    }
}

static void check_library(void) {
    static char buffer[1 << 16];
    static size_t length;
    static const intptr_t bad_sets[] = {P("sse2"), P(""), P("\xff")};
    static const char *simple[] = {
        "carousel_version_number", "carousel_version_string", "carousel_last_error_message",
        "carousel_threads", "carousel_instruction_set", "carousel_status_name",
        "carousel_status_description"};
    size_t i;
    for (i = 0; i < COUNT(simple); i++) tested[tested_count++] = simple[i];
    CHECK(carousel_threads() >= 1);
    CHECK(carousel_instruction_set() != NULL);
    CHECK(carousel_status_name((carousel_status)-5) != NULL);
    CHECK(carousel_status_description((carousel_status)1234567) != NULL);
    ROW(carousel_build_info, any(P(buffer)), any(sizeof buffer), any(P(&length)));
    ROW(carousel_set_threads, threads_of(1));
    ROW(carousel_set_instruction_set, with(P(carousel_instruction_set()), bad_sets, 3));
    SUCCEEDS(carousel_set_threads(0));
}

static void check_files(const char *folder) {
    static char path[1024], none[1024], text_buffer[1 << 16];
    static carousel_load_options load;
    static carousel_weights_options weights;
    static carousel_save_options save;
    static intptr_t bad_paths[5];
    argument good_path, target;
    char bad_format[] = "zip";
    CAROUSEL_INIT(load);
    CAROUSEL_INIT(weights);
    CAROUSEL_INIT(save);
    snprintf(path, sizeof path, "%s/bad-arguments.h5", folder);
    snprintf(none, sizeof none, "%s/no/such/file.h5", folder);
    bad_paths[0] = 0, bad_paths[1] = P(""), bad_paths[2] = P(none), bad_paths[3] = P(long_text);
    bad_paths[4] = P(folder);
    good_path = target = path_of(path, bad_paths, 5);
    ROW(carousel_network_save, a_network, target, OPTIONAL_WITH_POINTERS(save));
    free_made = free_network;
    ROW(carousel_network_load, good_path, OPTIONAL_WITH_POINTERS(load), pointer(&made));
    ROW(carousel_network_load_weights, a_network, good_path, OPTIONAL_WITH_POINTERS(weights));
    ROW(carousel_inspect, good_path, OPTIONAL_WITH_POINTERS(load), any(P(text_buffer)),
        any(sizeof text_buffer), any(0));
    ROW(carousel_stream_save, a_stream, good_path, OPTIONAL_WITH_POINTERS(save));
    ROW(carousel_stream_load, a_stream, good_path);
    save.compression = 10;
    FAILS(carousel_network_save(network, path, &save), CAROUSEL_ERROR_INVALID_ARGUMENT, "is 10");
    save.compression = 0;
    load.untrusted_seconds = weights.untrusted_seconds = -1;
    FAILS(carousel_network_load(path, &load, &network), CAROUSEL_ERROR_INVALID_ARGUMENT, "is -1");
    FAILS(carousel_network_load_weights(network, path, &weights), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "untrusted_seconds");
    load.untrusted_seconds = weights.untrusted_seconds = 0;
    save.format = weights.format = load.format = bad_format;
    FAILS(carousel_network_save(network, path, &save), CAROUSEL_ERROR_INVALID_ARGUMENT, "'zip'");
    FAILS(carousel_network_load(path, &load, &network), CAROUSEL_ERROR_INVALID_ARGUMENT, "'zip'");
    FAILS(carousel_network_load_weights(network, path, &weights), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "'zip'");
    remove(path);
    /* A program's main, without what it expects on standard input. */
    CHECK(freopen("/dev/null", "r", stdin) != NULL);
    CHECK(carousel_reader_main() != 0);
    tested[tested_count++] = "carousel_reader_main";
}

static void check_network(void) {
    static char buffer[1 << 16], json[1 << 16];
    static const int64_t times[1] = {3};
    static size_t length, size;
    static void *data;
    static carousel_network_info info;
    static carousel_signal_info signal;
    static carousel_layer_info layer;
    static carousel_state_info state_info;
    static carousel_parameter_info parameter;
    static carousel_run_options run;
    static carousel_record_options record;
    static carousel_quantization_info quantization;
    static carousel_output_error error;
    static const intptr_t bad_precisions[] = {0, CAROUSEL_PRECISION_FLOAT64, 5, -1, INT32_MAX};
    static float values[5 * 20];
    static carousel_array shape;
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(signal);
    CAROUSEL_INIT(layer);
    CAROUSEL_INIT(state_info);
    CAROUSEL_INIT(parameter);
    CAROUSEL_INIT(run);
    CAROUSEL_INIT(record);
    CAROUSEL_INIT(quantization);
    CAROUSEL_INIT(error);
    SUCCEEDS(carousel_network_to_json(network, json, sizeof json, &length));
    free_made = free_network;
    ROW(carousel_network_from_json, text(json), enum_of(CAROUSEL_FLOAT64), any(1),
        pointer(&made));
    ROW(carousel_network_copy, a_network, pointer(&made));
    ROW(carousel_network_to_json, a_network, any(P(buffer)), any(sizeof buffer), any(P(&length)));
    ROW(carousel_network_summary, a_network, any(P(buffer)), any(sizeof buffer), any(P(&length)));
    ROW(carousel_network_get_info, a_network, INFO(info));
    ROW(carousel_network_get_input, a_network, index_of(0), INFO(signal));
    ROW(carousel_network_get_output, a_network, index_of(0), INFO(signal));
    ROW(carousel_network_get_layer, a_network, index_of(1), INFO(layer));
    ROW(carousel_network_get_state, a_network, index_of(1), INFO(state_info));
    ROW(carousel_network_get_parameter, a_network, index_of(1), INFO(parameter));
    ROW(carousel_network_find_parameter, a_network, text("head/kernel"), INFO(parameter));
    ROW(carousel_network_get_parameter_buffer, a_network, pointer(&data), pointer(&size));
    ROW(carousel_network_parameters_changed, a_network);
    ROW(carousel_network_initialize, a_network, any(9));
    ROW(carousel_network_reset_states, a_network);
    ROW(carousel_network_get_output_shape, a_network, index_of(0), batch_of(2), pointer(times),
        count_of(1), pointer(&shape));
    ROW(carousel_network_get_tape_size, a_network, batch_of(2), pointer(times), count_of(1),
        pointer(&size));
    ROW(carousel_network_forward, a_network, pointer(input), batch_of(2), time_of(3),
        pointer(output), count_of(4));
    ROW(carousel_network_run, a_network, array(&x, 0), count_of(1), array(&y, 1), count_of(1),
        OPTIONAL_WITH_POINTERS(run));
    ROW(carousel_network_quantize, a_network, with(CAROUSEL_PRECISION_INT8, bad_precisions, 5),
        pointer(&made));
    ROW(carousel_network_get_quantization, a_network, index_of(1), INFO(quantization));
    ROW(carousel_network_measure_error, a_network, a_network, array(&x, 0), count_of(1),
        OPTIONAL_WITH_POINTERS(run), INFO(error), count_of(1));
    ROW(carousel_network_read_parameter, a_network, index_of(1), pointer(values),
        count_of(5 * 20 * sizeof(float)));
    free_made = free_tape;
    ROW(carousel_network_record, a_network, array(&x, 0), count_of(1),
        OPTIONAL_WITH_POINTERS(record), pointer(&made));
    check_free("carousel_network_free", free_network, a_network);
}

static void check_run_options(void) {
    carousel_run_options run;
    carousel_array states[4];
    int64_t lengths[2] = {3, -1};
    uint8_t mask[6] = {1};
    int i;
    CAROUSEL_INIT(run);
#define REFUSED(text) \
    FAILS(carousel_network_run(network, &x, 1, &y, 1, &run), CAROUSEL_ERROR_SHAPE, text)
    run.lengths = lengths;
    REFUSED("lengths[1] is -1");
    lengths[1] = INT64_MAX;
    REFUSED("lengths[1]");
    CAROUSEL_INIT(run);
    run.mask = mask;
    run.mask_batch_stride = INT64_MIN;
    REFUSED("mask has strides");
    run.mask_batch_stride = 1, run.mask_time_stride = INT64_MAX;
    REFUSED("mask has strides");
    CAROUSEL_INIT(run);
    for (i = 0; i < 4; i++) states[i] = h;
    run.initial_states = states;
    run.initial_state_count = SIZE_MAX;
    REFUSED("initial_state_count");
    run.initial_state_count = 4;
    REFUSED("initial_states[2] has 5 features, expected 4");
    run.initial_states = NULL;
    FAILS(carousel_network_run(network, &x, 1, &y, 1, &run), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "initial_states is NULL");
    CAROUSEL_INIT(run);
    run.final_states = states;
    run.final_state_count = 3;
    REFUSED("final_state_count is 3");
    CAROUSEL_INIT(run);
    run.padding = (carousel_padding)17;
    FAILS(carousel_network_run(network, &x, 1, &y, 1, &run), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "padding has the unknown value 17");
    CAROUSEL_INIT(run);
    run.threads = -3;
    FAILS(carousel_network_run(network, &x, 1, &y, 1, &run), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "threads is -3");
}

static void check_stream(void) {
    static carousel_stream_info info;
    static unsigned char memory[2 * 18 * 4];
    CAROUSEL_INIT(info);
    free_made = free_stream;
    ROW(carousel_stream_create, a_network, batch_of(2), pointer(&made));
    ROW(carousel_stream_copy, a_stream, pointer(&made));
    ROW(carousel_stream_get_info, a_stream, INFO(info));
    ROW(carousel_stream_step, a_stream, pointer(input), pointer(output));
    ROW(carousel_stream_steps, a_stream, pointer(input), time_of(1), pointer(output));
    ROW(carousel_stream_step_arrays, a_stream, array(&step_x, 0), count_of(1),
        array(&step_y, 1), count_of(1));
    ROW(carousel_stream_reset, a_stream);
    ROW(carousel_stream_set_threads, a_stream, threads_of(1));
    ROW(carousel_stream_snapshot, a_stream, pointer(memory), count_of(sizeof memory));
    ROW(carousel_stream_restore, a_stream, pointer(memory), count_of(sizeof memory));
    ROW(carousel_stream_update_weights, a_stream);
    check_free("carousel_stream_free", free_stream, a_stream);
}

static void check_tape(void) {
    static void *data;
    static size_t size;
    static float trace[2 * 3 * 5];
    static carousel_array shape, field;
    field = array_of(trace, 3, 2, 3, 5);
    ROW(carousel_tape_get_output, a_tape, index_of(0), array(&y, 1));
    ROW(carousel_tape_get_final_state, a_tape, index_of(0), array(&h, 1));
    ROW(carousel_tape_get_initial_state, a_tape, index_of(0), array(&h, 1));
    ROW(carousel_tape_backward, a_tape, array(&y, 0), count_of(1), any(0), any(0));
    ROW(carousel_tape_get_parameter_gradients, a_tape, pointer(&data), pointer(&size));
    ROW(carousel_tape_get_input_gradient, a_tape, index_of(0), array(&x, 1));
    ROW(carousel_tape_get_initial_state_gradient, a_tape, index_of(0), array(&h, 1));
    ROW(carousel_tape_get_trace_shape, a_tape, text("first"), enum_of(CAROUSEL_TRACE_CELL),
        with(0, bad_enums, 3), pointer(&shape));
    ROW(carousel_tape_get_trace, a_tape, text("first"), enum_of(CAROUSEL_TRACE_CELL),
        with(0, bad_enums, 3), array(&field, 1));
    check_free("carousel_tape_free", free_tape, a_tape);
}

/* A double cannot travel in an integer's register: these take its bits. */
static carousel_status masking(carousel_builder *b, const char *name, intptr_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return carousel_builder_add_masking(b, name, value);
}
static carousel_status dropout(
    carousel_builder *b, const char *name, carousel_dropout_kind kind, intptr_t bits) {
    double rate;
    memcpy(&rate, &bits, sizeof rate);
    return carousel_builder_add_dropout(b, name, kind, rate);
}
static intptr_t bits_of(double value) {
    intptr_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Each call that adds a layer takes a fresh builder, because a name can be used once. */
static void check_builder(void) {
    static carousel_input_options in;
    static carousel_dense_options dense;
    static carousel_embedding_options embedding;
    static carousel_simple_rnn_options simple;
    static carousel_gru_options gru;
    static carousel_lstm_options lstm;
    static carousel_normalization_options normalization;
    static carousel_conv1d_options conv;
    static carousel_pooling1d_options pooling;
    static carousel_activation activation, unknown_activation;
    static const char *inputs[2] = {"input", "input"}, *nothing[2] = {"nothing", "nothing"};
    static const int64_t shape[2] = {3, -1}, bad_shape[2] = {-1, -1}, zero[2] = {0, 3};
    static intptr_t bad_inputs[2], bad_shapes[3], bad_activations[2], not_rates[4], nan_only[1];
    static const intptr_t unnamed[] = {0, P("nothing"), P("\xff")}, bad_states[] = {-1, 4, 77};
    CAROUSEL_INIT(in);
    CAROUSEL_INIT(dense);
    CAROUSEL_INIT(embedding);
    CAROUSEL_INIT(simple);
    CAROUSEL_INIT(gru);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(normalization);
    CAROUSEL_INIT(conv);
    CAROUSEL_INIT(pooling);
    in.features = in.time = 3;
    dense.units = simple.units = gru.units = lstm.units = 2;
    embedding.vocabulary = embedding.dimension = 2;
    conv.filters = conv.kernel_size = pooling.pool_size = 2;
    unknown_activation.kind = (carousel_activation_kind)999;
    bad_activations[1] = P(&unknown_activation);
    bad_inputs[1] = P(nothing);
    bad_shapes[1] = P(bad_shape), bad_shapes[2] = P(zero);
    nan_only[0] = not_rates[0] = bits_of(NAN);
    not_rates[1] = bits_of(-0.1), not_rates[2] = bits_of(1.1), not_rates[3] = bits_of(INFINITY);
    free_made = free_builder;
    ROW(carousel_builder_create, any(P("name")), pointer(&made));
    ROW(carousel_builder_add_input, a_builder, new_name(), OPTIONS(in));
    ROW(carousel_builder_add_dense, a_builder, new_name(), OPTIONS(dense));
    ROW(carousel_builder_add_embedding, a_builder, new_name(), OPTIONS(embedding));
    ROW(carousel_builder_add_simple_rnn, a_builder, new_name(), OPTIONS(simple));
    ROW(carousel_builder_add_gru, a_builder, new_name(), OPTIONS(gru));
    ROW(carousel_builder_add_lstm, a_builder, new_name(), OPTIONS(lstm));
    ROW(carousel_builder_add_activation, a_builder, new_name(),
        with(P(&activation), bad_activations, 2));
    ROW(carousel_builder_add_prelu, a_builder, new_name(), any(1));
    row("carousel_builder_add_masking", (any_function)masking,
        (const argument[]){a_builder, new_name(), with(0, nan_only, 1)}, 3);
    row("carousel_builder_add_dropout", (any_function)dropout,
        (const argument[]){a_builder, new_name(), enum_of(0), with(0, not_rates, 4)}, 4);
    ROW(carousel_builder_add_batch_normalization, a_builder, new_name(), OPTIONAL(normalization));
    ROW(carousel_builder_add_layer_normalization, a_builder, new_name(), OPTIONAL(normalization));
    ROW(carousel_builder_add_conv1d, a_builder, new_name(), OPTIONS(conv));
    ROW(carousel_builder_add_pooling1d, a_builder, new_name(), OPTIONS(pooling));
    ROW(carousel_builder_add_global_pooling1d, a_builder, new_name(), enum_of(0), any(0));
    ROW(carousel_builder_add_flatten, a_builder, new_name());
    ROW(carousel_builder_add_reshape, a_builder, new_name(), with(P(shape), bad_shapes, 3),
        count_of(2));
    ROW(carousel_builder_add_permute, a_builder, new_name());
    ROW(carousel_builder_add_repeat_vector, a_builder, new_name(), batch_of(2));
    ROW(carousel_builder_add_zero_padding1d, a_builder, new_name(), time_of(1), time_of(1));
    ROW(carousel_builder_add_up_sampling1d, a_builder, new_name(), batch_of(2));
    ROW(carousel_builder_read, a_builder, with(P(inputs), bad_inputs, 2),
        with(2, bad_counts + 2, 3));
    ROW(carousel_builder_add_merge, a_builder, new_name(), enum_of(0));
    lstm.recurrent.bidirectional = CAROUSEL_BIDIRECTIONAL_CONCAT;
    SUCCEEDS(carousel_builder_add_lstm(builder, "both", &lstm));
    lstm.recurrent.bidirectional = CAROUSEL_ONE_DIRECTION;
    ROW(carousel_builder_set_backward, a_builder, with(P("both"), unnamed, 3));
    FAILS(carousel_builder_add_dense(builder, "half", &dense), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "the backward half of 'both' must be a recurrent layer");
    SUCCEEDS(carousel_builder_add_lstm(builder, "half", &lstm));
    FAILS(carousel_builder_set_backward(builder, "layer1"), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "'layer1' is not bidirectional");
    ROW(carousel_builder_add_final_state, a_builder, new_name(), with(0, bad_states, 3));
    ROW(carousel_builder_distribute, a_builder);
    ROW(carousel_builder_freeze, a_builder, with(P("layer1"), unnamed, 3));
    ROW(carousel_builder_share, a_builder, with(P("layer1"), unnamed, 3));
    {
        carousel_builder *fresh = NULL;
        carousel_input_options good;
        argument a;
        CAROUSEL_INIT(good);
        good.features = 3;
        good.time = -1;
        FAILS(carousel_builder_build(builder, CAROUSEL_FLOAT32, 0, NULL),
              CAROUSEL_ERROR_INVALID_ARGUMENT, "network is NULL");
        SUCCEEDS(carousel_builder_create(NULL, &fresh));
        FAILS(carousel_builder_add_flatten(fresh, "flat"), CAROUSEL_ERROR_STATE, "input first");
        SUCCEEDS(carousel_builder_add_input(fresh, "input", &good));
        FAILS(carousel_builder_build(fresh, CAROUSEL_FLOAT32, 0, (carousel_network **)&made),
              CAROUSEL_ERROR_STATE, "no layer");
        FAILS(carousel_builder_add_output(fresh, "input"), CAROUSEL_ERROR_INVALID_ARGUMENT,
              "is an input");
        SUCCEEDS(carousel_builder_add_lstm(fresh, "lstm", &lstm));
        a = handle(2, fresh, tape, (void *)a_builder.bad[2]);
        free_made = free_network;
        ROW(carousel_builder_build, a, enum_of(0), any(1), pointer(&made));
        tested[tested_count++] = "carousel_builder_add_output";
        SUCCEEDS(carousel_builder_add_output(fresh, "lstm"));
        FAILS(carousel_builder_add_output(fresh, "lstm"), CAROUSEL_ERROR_INVALID_ARGUMENT,
              "output already");
        FAILS(carousel_builder_add_output(fresh, NULL), CAROUSEL_ERROR_INVALID_ARGUMENT, "NULL");
        FAILS(carousel_builder_add_output(NULL, "lstm"), CAROUSEL_ERROR_INVALID_ARGUMENT, "NULL");
        carousel_builder_free(fresh);
    }
    check_free("carousel_builder_free", free_builder, a_builder);
}

static carousel_status set_learning_rate(carousel_trainer *t, intptr_t bits) {
    double rate;
    memcpy(&rate, &bits, sizeof rate);
    return carousel_trainer_set_learning_rate(t, rate);
}

static void check_trainer(const char *folder) {
    static carousel_trainer_options options;
    static carousel_training_data data;
    static carousel_fit_options fit;
    static carousel_trainer_info info;
    static carousel_step_result result;
    static char path[1024];
    static double norm, values[4];
    static size_t size;
    static void *buffer;
    static const char *name;
    static const int64_t times[1] = {3};
    static intptr_t bad_paths[3], bad_rates[3];
    carousel_network *copy = NULL;
    carousel_trainer *freed = NULL;
    carousel_array bad_targets = y;
    argument good_data, target;
    CAROUSEL_INIT(options);
    CAROUSEL_INIT(data);
    CAROUSEL_INIT(fit);
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(result);
    data.inputs = &x, data.input_count = 1;
    data.targets = &y, data.target_count = 1;
    snprintf(path, sizeof path, "%s/bad-arguments-checkpoint.h5", folder);
    bad_paths[0] = 0, bad_paths[1] = P(""), bad_paths[2] = P(folder);
    bad_rates[0] = bits_of(NAN), bad_rates[1] = bits_of(-1), bad_rates[2] = bits_of(INFINITY);
    SUCCEEDS(carousel_network_copy(network, &copy));
    SUCCEEDS(carousel_trainer_create(copy, NULL, &trainer));
    SUCCEEDS(carousel_trainer_create(copy, NULL, &freed));
    carousel_trainer_free(freed);
    a_trainer = handle(4, trainer, network, freed);
    target = path_of(path, bad_paths, 3);
    good_data = structure(&data, sizeof data, 0, 1);
    free_made = free_trainer;
    ROW(carousel_trainer_create, a_network, OPTIONAL_WITH_POINTERS(options), pointer(&made));
    ROW(carousel_trainer_step, a_trainer, good_data, structure(&result, sizeof result, 1, 1));
    ROW(carousel_trainer_compute_gradients, a_trainer, good_data, any(0),
        structure(&result, sizeof result, 1, 1));
    ROW(carousel_trainer_get_gradients, a_trainer, pointer(&buffer), pointer(&size));
    ROW(carousel_trainer_apply_gradients, a_trainer, any(P(&norm)));
    ROW(carousel_trainer_set_gradient_callback, a_trainer, any(0), any(0));
    ROW(carousel_trainer_evaluate, a_trainer, good_data, batch_of(2), INFO(result));
    ROW(carousel_trainer_fit, a_trainer, good_data, any(0), OPTIONAL_WITH_POINTERS(fit));
    ROW(carousel_trainer_get_info, a_trainer, INFO(info));
    ROW(carousel_trainer_get_history, a_trainer, index_of(0), any(P(&name)), any(P(values)),
        any(4), pointer(&size));
    row("carousel_trainer_set_learning_rate", (any_function)set_learning_rate,
        (const argument[]){a_trainer, with(bits_of(0.1), bad_rates, 3)}, 2);
    ROW(carousel_trainer_set_trainable, a_trainer, text("head"), any(1));
    ROW(carousel_trainer_get_step_size, a_trainer, batch_of(2), pointer(times), count_of(1),
        pointer(&size));
    ROW(carousel_trainer_save, a_trainer, target);
    ROW(carousel_trainer_resume, a_trainer, target);
    data.target_count = 2;
    FAILS(carousel_trainer_step(trainer, &data, NULL), CAROUSEL_ERROR_SHAPE, "target");
    data.target_count = 1;
    data.targets = &bad_targets;
    bad_targets.shape[1] = 3;
    CHECK(carousel_trainer_step(trainer, &data, NULL) != CAROUSEL_OK);
    check_free("carousel_trainer_free", free_trainer, a_trainer);
    carousel_trainer_free(trainer);
    carousel_network_free(copy);
    remove(path);
}

/* Every "carousel_x(" of the header must be in the table. */
static void check_completeness(void) {
    size_t i, j, found = 0;
    for (i = 1; i < header_length; i++) {
        char name[128];
        size_t n = 0;
        if (!begins_name(i, "carousel_")) continue;
        while (n < sizeof name - 1 && is_in_name(header[i + n])) name[n] = header[i + n], n++;
        name[n] = 0;
        /* Names of functions, not of pointers to functions. */
        if (header[i + n] != '(') continue;
        found++;
        for (j = 0; j < tested_count && strcmp(tested[j], name); j++) {}
        checks_made++;
        if (j == tested_count) {
            fprintf(stderr, "%s is not in the table of bad arguments\n", name);
            checks_failed++;
        }
    }
    CHECK(found > 80);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: test_bad_arguments HEADER FOLDER\n");
        return 2;
    }
    read_header(argv[1]);
    memset(long_text, 'x', sizeof long_text - 1);
    make_handles();
    check_library();
    check_network();
    check_run_options();
    check_stream();
    check_tape();
    check_builder();
    check_files(argv[2]);
    check_trainer(argv[2]);
    check_completeness();
    carousel_tape_free(tape);
    carousel_builder_free(builder);
    carousel_stream_free(stream);
    carousel_network_free(network);
    return finish();
}
