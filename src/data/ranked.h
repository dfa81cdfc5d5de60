/* ranked: what the shapes with several answers to one prompt have in common, of which some are better than others: a
 * document each, in one group, which has as many pairs as there are answers one of which is better (Ouyang et al.
 * 2022, InstructGPT, section 3.5: all pairs of a prompt in one batch element). An answer that nobody judged is left
 * out; a row in which none is better than another gives no documents, which documents.n_tied counts. */
#ifndef DATA_RANKED_H
#define DATA_RANKED_H

#include "data/maker.h"
#include "data/shape.h"

#define RANKED_ROLES { "ranked" }

enum { RANKED_ANSWERS = 64 };     /* of a row, at most */

struct ranked {
	size_t n;
	struct { const json_t *answer; double score; } items[RANKED_ANSWERS]; /* borrowed; score NAN: not judged */
};

/* prompt: a text or a list of messages. */
int ranked_make(struct maker *m, const json_t *prompt, const struct ranked *r, struct err *e);
/* The same, and what is asked is a text: a user's turn by the model's template; without one a line of its own. */
int ranked_make_asked(struct maker *m, const char *asked, const struct ranked *r, struct err *e);
/* A list of answers, and one of as many numbers, of which more is better (places: less is, from 1, 0: none); null:
 * not judged. key: what the second is called. */
int ranked_lists(struct ranked *r, const json_t *answers, const json_t *numbers, const char *key, bool places,
                 struct err *e);
/* A list of objects (NEED_SCORED), each with its text and a score, rating or rank. */
int ranked_objects(struct ranked *r, const json_t *answers, struct err *e);
/* Two answers, of which one is better (0, 1) or neither (−1). */
void ranked_two(struct ranked *r, const json_t *a, const json_t *b, int better);
/* Is it such an object? */
bool ranked_is_scored(const json_t *v);

#endif
