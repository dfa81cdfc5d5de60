/* bert: BERT's own normalizing of text, BertNormalizer in a tokenizer.json. */
#ifndef TOKEN_BERT_H
#define TOKEN_BERT_H

#include "token/pretokenize.h"

/* struct normalizer_type's two */
int bert_parse(const json_t *j, void **own, struct err *e);
int bert_run(const void *own, const struct slice *in, struct altered *out, struct err *e);

#endif
