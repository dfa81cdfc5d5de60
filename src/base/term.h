/* term: what the terminal behind a file descriptor can show. The only place that decides about colours. */
#ifndef BASE_TERM_H
#define BASE_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

bool term_is(int fd);
bool term_color(int fd);                             /* a terminal, TERM is not "dumb" and NO_COLOR is not set */
void term_size(int fd, int *columns, int *rows);     /* 80 and 24 where there is no terminal */
/* Appends text that may hold any bytes: controls (an escape would speak to the terminal) and what is no UTF-8 become
 * U+FFFD. */
void term_text(struct buf *out, const char *s, size_t n);
/* Writes text that may come from anybody: into a file or a pipe byte by byte; on a terminal controls but line breaks
 * and tabs are shown as their pictures (U+2400 …) and what is no UTF-8 as U+FFFD, so that nothing in it speaks to the
 * terminal. styles: colours and the like (ESC [ … m) go through, for lines of our own. Returns as fflush does. */
int term_write(FILE *to, const char *s, size_t n, bool styles);
size_t term_columns(const char *s, size_t n);        /* that a text takes, shown by term_text: 0, 1 or 2 a character */
size_t term_fit(const char *s, size_t n, size_t columns); /* bytes of the longest beginning that fits */

#endif
