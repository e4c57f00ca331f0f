/* Mutation of JSON texts, token by token: what comes out is mostly JSON again, so it reaches the code
 * behind the parser. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char *const vocabulary[] = {
    "null", "true", "false", "0", "1", "-1", "2", "3", "0.5", "-0.0", "1e300", "1e-300", "NaN",
    "Infinity", "-Infinity", "2147483647", "2147483648", "4294967296", "9223372036854775807",
    "-9223372036854775808", "18446744073709551616", "1e19", "[]", "{}", "[null]", "[null, null, 3]",
    "[[null, 4, 3]]", "\"\"", "\"tanh\"", "\"sigmoid\"", "\"hard_sigmoid\"", "\"softmax\"",
    "\"linear\"", "\"relu\"", "\"LSTM\"", "\"GRU\"", "\"SimpleRNN\"", "\"Bidirectional\"",
    "\"TimeDistributed\"", "\"RNN\"", "\"StackedRNNCells\"", "\"LSTMCell\"", "\"Dense\"",
    "\"Embedding\"", "\"InputLayer\"", "\"Masking\"", "\"Functional\"", "\"Sequential\"",
    "\"Model\"", "\"Concatenate\"", "\"Add\"", "\"Conv1D\"", "\"Flatten\"", "\"Reshape\"",
    "\"RepeatVector\"", "\"BatchNormalization\"", "\"Dropout\"", "\"float64\"", "\"float32\"",
    "\"concat\"", "\"sum\"", "\"causal\"", "\"same\"", "\"valid\"", "\"units\"", "\"config\"",
    "\"layers\"", "\"name\"", "\"class_name\"", "\"batch_input_shape\"", "\"batch_shape\"",
    "\"a/b\"", "\"\\u0000\"", "\"\xF4\x8F\xBF\xBF\"", ",", ":", "[", "]", "{", "}"};

typedef struct token {
    size_t start, size;
} token;

enum { TOKENS = 8192 };

static size_t skip_token(const char *text, size_t size, size_t at) {
    size_t end = at + 1;
    if (text[at] == '"') {
        while (end < size && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
        return end < size ? end + 1 : size;
    }
    if (strchr("{}[]:,", text[at])) return end;
    while (end < size && !strchr("{}[]:,\" \n\t", text[end])) end++;
    return end;
}

static size_t split(const char *text, size_t size, token *tokens) {
    size_t count = 0, at = 0;
    while (at < size && count < TOKENS) {
        size_t end;
        if (strchr(" \n\t\r", text[at])) {
            at++;
            continue;
        }
        end = skip_token(text, size, at);
        tokens[count].start = at;
        tokens[count++].size = end - at;
        at = end;
    }
    return count;
}

static uint32_t draw(uint32_t *random) {
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

/* Puts `with` in the place of a part of the text. */
static size_t splice(
    char *text, size_t size, size_t capacity, token part, const char *with, size_t length) {
    if (size - part.size + length > capacity) return size;
    memmove(text + part.start + length, text + part.start + part.size,
            size - part.start - part.size);
    memcpy(text + part.start, with, length);
    return size - part.size + length;
}

/* The bracketed value that begins at this token, or the token itself. */
static token value_at(const char *text, const token *tokens, size_t count, size_t index) {
    token value = tokens[index];
    size_t depth = 0, i;
    if (text[value.start] != '{' && text[value.start] != '[') return value;
    for (i = index; i < count; i++) {
        char c = text[tokens[i].start];
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) {
            value.size = tokens[i].start + 1 - value.start;
            break;
        }
    }
    return value;
}

size_t mutate_json(char *text, size_t size, size_t capacity, uint32_t random) {
    static token tokens[TOKENS];
    static char copy[1 << 16];
    size_t count = split(text, size, tokens);
    token one, other;
    const char *word;
    if (count == 0) return size;
    one = value_at(text, tokens, count, draw(&random) % count);
    other = value_at(text, tokens, count, draw(&random) % count);
    switch (draw(&random) % 6) {
    case 0:
    case 1:
        word = vocabulary[draw(&random) % (sizeof vocabulary / sizeof *vocabulary)];
        return splice(text, size, capacity, one, word, strlen(word));
    case 2:
        return splice(text, size, capacity, one, "", 0);
    case 3: /* twice, with a comma between */
        if (one.size + 1 > sizeof copy) return size;
        memcpy(copy, text + one.start, one.size);
        copy[one.size] = ',';
        other.start = one.start;
        other.size = 0;
        return splice(text, size, capacity, other, copy, one.size + 1);
    default: /* a copy of another value */
        if (other.size > sizeof copy) return size;
        memcpy(copy, text + other.start, other.size);
        return splice(text, size, capacity, one, copy, other.size);
    }
}
