/* enclosed: a text, or two of a pair, as a model's inference code reads it: its tokens between those that the tokenizer
 * puts around it, in front of the second, and behind. Where they are too many the text loses its end; of two the longer
 * one first, as transformers' longest_first cuts them. */
#ifndef DATA_ENCLOSED_H
#define DATA_ENCLOSED_H

#include "data/document.h"

struct enclosed {
	const char *text, *pair;       /* pair NULL: one text */
	size_t n, n_pair;              /* bytes */
	struct tokens ids;             /* of all; the caller releases it */
	int32_t second;                /* where type 1 begins; 0: nowhere */
	size_t cut;                    /* tokens that were cut off */
};

/* At most `max` tokens; −1 where what is put around them alone is as many. */
int enclose(struct enclosed *x, const struct tokenizer *t, size_t max, struct err *e);

/* Its tokens as d's, in mem, of which the last is learnt, or the first. */
void enclosed_document(struct document *d, struct arena *mem, const struct enclosed *x, bool first);

/* The columns that a pair's two texts are in, as Hugging Face's data sets of pairs (GLUE among them) have them. */
struct pair_columns { const char *first, *second; };
extern const struct pair_columns pair_columns[];    /* until one without a name */
/* Of a row's json, NULL: it has no two such texts. */
const struct pair_columns *pair_columns_of(const json_t *row);

#endif
