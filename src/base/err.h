/* err: the two kinds of failure.
 *
 * A mistake of ours is a BUG: it aborts with file and line, in release builds too.
 * Whatever the world can cause (a file, an option, a full disk) returns -1 and leaves one
 * sentence in the caller's struct err: what, where, what was found, what was wanted. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

struct err {
	char msg[1024]; /* "" when nothing happened; never ends in a newline or full stop */
};

#define ERR_INIT { "" }

/* Writes the sentence (truncated to fit) and returns -1, so that `return err_set(e, …);` reads well. e may be
 * NULL. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the sentence that is there and returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* looks at one file at a time and cannot know what these return */
#define err_set(...) ((err_set)(__VA_ARGS__), -1)
#define err_prefix(...) ((err_prefix)(__VA_ARGS__), -1)
#endif

_Noreturn void bug_abort(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define BUG(...) bug_abort(__FILE__, __LINE__, __VA_ARGS__)

#endif
