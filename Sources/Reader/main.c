/* carousel-reader: reads a model file that is not trusted for libcarousel, which starts it. */
#include <carousel.h>

int main(void) { return carousel_reader_main(); }
