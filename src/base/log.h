/* log: text for a person's eyes, on stderr. Silent under --quiet. A live line (progress) is
 * redrawn in a terminal and becomes a plain line every so often elsewhere. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_DEBUG };

void log_set(enum log_level level);
void log_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));     /* adds a newline */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));    /* "warning: …" */
void log_live(const char *fmt, ...) __attribute__((format(printf, 1, 2)));    /* redrawn in place on a terminal; else at most a line every 10 s */
void log_live_end(void);                                                      /* leaves the last live line standing */
bool log_color(void);                                                         /* on stderr; term.h decides */
bool log_terminal(void);

#endif
