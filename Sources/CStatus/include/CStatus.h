/* The list of statuses in carousel.h as functions: Swift cannot see macros with arguments. */
#ifndef CAROUSEL_STATUS_STRINGS_H
#define CAROUSEL_STATUS_STRINGS_H

/* Static strings; NULL for values that are not in the list. */
const char *carousel_status_list_name(int status);
const char *carousel_status_list_description(int status);

/* The C compiler that built the library, for carousel_build_info. */
const char *carousel_compiler(void);

#endif
