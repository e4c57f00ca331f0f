/* Writes text, one character at a time, with a character-level model.
 *
 *     cc -std=c99 generate.c $(pkg-config --cflags --libs carousel) -lm -o generate
 *     ./generate MODEL.h5 [BEGINNING [CHARACTERS [TEMPERATURE [SEED]]]]
 *
 * The model reads one id per step, the character's ASCII code, and gives the probabilities of the
 * next character. bindings/python/examples/train_characters.py trains one. A temperature below 1
 * makes the text safer, above 1 wilder; the same seed writes the same text.
 */
#include <carousel.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHARACTERS = 128 };

static int carousel_failed(void) {
  fprintf(stderr, "generate: %s\n", carousel_last_error_message());
  return 1;
}

/* Uniform in [0, 1): SplitMix64. */
static double uniform(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Draws a character with probability proportional to p^(1 / temperature). */
static int draw(const float probabilities[CHARACTERS], double temperature, uint64_t *random) {
  double weights[CHARACTERS], total = 0;
  for (int k = 0; k < CHARACTERS; k++)
    total += weights[k] = pow((double)probabilities[k], 1 / temperature);
  double rest = uniform(random) * total;
  for (int k = 0; k < CHARACTERS; k++)
    if ((rest -= weights[k]) < 0) return k;
  return CHARACTERS - 1;
}

static int step(carousel_stream *stream, int character, float probabilities[CHARACTERS]) {
  const float id = (float)character;
  putchar(character);
  return carousel_stream_step(stream, &id, probabilities) != CAROUSEL_OK;
}

static int run(carousel_stream *stream, const char *beginning, long count, double temperature,
               uint64_t seed) {
  float probabilities[CHARACTERS];
  carousel_stream_info info;
  CAROUSEL_INIT(info);
  if (carousel_stream_get_info(stream, &info) != CAROUSEL_OK) return carousel_failed();
  if (info.input_count != 1 || info.output_count != CHARACTERS) {
    fprintf(stderr, "generate: the model must read one id and give %d probabilities\n", CHARACTERS);
    return 1;
  }
  for (const char *c = beginning; *c; c++)
    if (step(stream, *c & 127, probabilities)) return carousel_failed();
  for (long k = 0; k < count; k++)
    if (step(stream, draw(probabilities, temperature, &seed), probabilities))
      return carousel_failed();
  putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  const char *beginning = argc > 2 && *argv[2] ? argv[2] : "\n";
  const long count = argc > 3 ? atol(argv[3]) : 500;
  const double temperature = argc > 4 ? atof(argv[4]) : 0.7;
  const uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
  if (argc < 2 || count < 0 || !(temperature > 0)) {
    fprintf(stderr, "usage: generate MODEL.h5 [BEGINNING [CHARACTERS [TEMPERATURE [SEED]]]]\n");
    return 2;
  }
  carousel_network *network = NULL;
  carousel_stream *stream = NULL;
  if (carousel_network_load(argv[1], NULL, &network) != CAROUSEL_OK) return carousel_failed();
  const carousel_status status = carousel_stream_create(network, 1, &stream);
  carousel_network_free(network); /* the stream keeps what it needs */
  if (status != CAROUSEL_OK) return carousel_failed();
  const int result = run(stream, beginning, count, temperature, seed);
  carousel_stream_free(stream);
  return result;
}
