/* scripts: to which script of Unicode a character belongs, as SentencePiece knows them (Unicode 10). */
#ifndef TOKEN_SCRIPTS_H
#define TOKEN_SCRIPTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Their names, as PCRE2 takes them, apart by spaces. Script i is number i + 1. */
extern const char scripts[];
int scripts_number(const char *name);
/* out[c]: the number of the script of each of these characters, Common's where it has none. out: one for each code
 * point. */
int scripts_of(const uint32_t *c, size_t n, uint8_t *out, struct err *e);

#endif
