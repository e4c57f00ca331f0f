// The header is C++, and needs no other header before it.
#include <carousel.h>

int main() {
    carousel_lstm_options options;
    CAROUSEL_INIT(options);
    carousel_network *network = nullptr;
    const carousel_status status = carousel_network_load("", nullptr, &network);
    return options.struct_size == sizeof options && options.units == 0 &&
                   status == CAROUSEL_ERROR_INVALID_ARGUMENT && network == nullptr
               ? 0
               : 1;
}
