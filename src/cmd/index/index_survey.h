/* index_survey: what adding files to an index will take, before it is done: documents, pieces, tokens, seconds, bytes.
 *
 * With an embedder every file is read, and those documents count that are not in the index as they are. Without one
 * reading is much of the work, so the first SURVEY_BYTES of text stand for the rest, by the files' sizes. Of what is
 * read some documents, evenly spread, are cut and tokenized, and stand for all by their bytes. */
#ifndef CMD_INDEX_SURVEY_H
#define CMD_INDEX_SURVEY_H

#include "infer/index_embed.h"
#include "retrieve/index.h"

struct index_survey {
	double documents, chunks, tokens;   /* tokens: that the embedder reads */
	double bytes;                       /* of the pieces' text */
	double files;                       /* bytes of all files, unpacked */
	double same;                        /* documents that are there already */
	double largest_rows, largest_text;  /* bytes of the largest file of rows, of the largest that is one document */
};

struct index_adding;

/* Looks, and says by planned() (cmd/estimate.h) what will be taken: a->survey; s: of the index that is written. −1
 * also where the plan was all that was wanted. */
int index_surveyed(struct index_adding *a, const struct index_settings *s, const char *const *paths, size_t n,
                   struct err *e);

#endif
