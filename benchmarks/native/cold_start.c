/* Workload E for Carousel: load a saved LSTM, run 16 steps, print one number.
 *
 *   cc -O2 -I../../include cold_start.c -o cold_start -L../../build -lcarousel
 *   ./cold_start MODEL.h5
 */
#include <carousel.h>
#include <stdio.h>

int main(int argc, char **argv) {
  enum { STEPS = 16, INPUT = 64, HIDDEN = 128 };
  static float input[STEPS * INPUT], output[STEPS * HIDDEN];
  carousel_network *network = NULL;
  if (argc != 2 || carousel_network_load(argv[1], NULL, &network) != CAROUSEL_OK ||
      carousel_network_forward(network, input, 1, STEPS, output, STEPS * HIDDEN) != CAROUSEL_OK) {
    fprintf(stderr, "%s\n", carousel_last_error_message());
    return 1;
  }
  printf("%.7f\n", (double)output[(STEPS - 1) * HIDDEN]);
  carousel_network_free(network);
  return 0;
}
