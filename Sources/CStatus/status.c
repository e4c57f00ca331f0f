#include "CStatus.h"

#include "../../include/carousel.h"

#include <stddef.h>

const char *carousel_status_list_name(int status) {
    switch (status) {
#define NAME(name, value, description) \
    case value: return #name;
        CAROUSEL_STATUS_LIST(NAME)
    default: return NULL;
    }
}

const char *carousel_status_list_description(int status) {
    switch (status) {
#define DESCRIPTION(name, value, description) \
    case value: return description;
        CAROUSEL_STATUS_LIST(DESCRIPTION)
    default: return NULL;
    }
}

const char *carousel_compiler(void) { return __VERSION__; }
