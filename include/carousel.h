/* under construction */
#ifndef CAROUSEL_H
#define CAROUSEL_H
#endif
