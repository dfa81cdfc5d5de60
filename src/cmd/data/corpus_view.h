/* corpus_view: shards and how they came to be, for eyes: of data build and data show. */
#ifndef CMD_CORPUS_VIEW_H
#define CMD_CORPUS_VIEW_H

#include "corpus/shards.h"

/* Sources, splits, tokens, weights. */
void corpus_view_shards(const struct shards *s);
/* What report.json says, in lines: cleaned, left out; show: so many examples of each. */
void corpus_view_report(struct buf *out, const json_t *report, size_t show);
void corpus_view_print(const json_t *report, size_t show);

#endif
