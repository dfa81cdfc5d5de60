/* sentence: printf whose words agree with their numbers: "%zu rows were cut" is "1 row was cut" for one.
 *
 * Only the words of the format change, never those of an argument. log, err and app_print write by it. */
#ifndef BASE_SENTENCE_H
#define BASE_SENTENCE_H

#include <stdarg.h>
#include <stddef.h>

struct buf;

/* As snprintf and vsnprintf: what would have been written. */
int sentence_format(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int sentence_vformat(char *out, size_t size, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
/* As mem_vprintf, and as buf_addf. */
char *sentence_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
void sentence_add(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
