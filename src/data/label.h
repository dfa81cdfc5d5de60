/* label: what the shapes have in common that say of one answer whether it was good: TRL's unpaired preference (label)
 * and LLaMA-Factory's (kto_tag). One document, whose role is its label. */
#ifndef DATA_LABEL_H
#define DATA_LABEL_H

#include "data/maker.h"

enum { DESIRABLE, UNDESIRABLE };

#define LABEL_ROLES { [DESIRABLE] = "desirable", [UNDESIRABLE] = "undesirable" }

int label_check(const struct row *r, const char *key, struct err *e); /* a whole number is 0 or 1 */
int32_t label_role(const json_t *row, const char *key);
/* A conversation, of which the last turn is the answer. */
int label_chat(struct maker *m, const char *key, const char *label, struct err *e);

#endif
