/* classifier: a model whose head says labels and not tokens, as transformers' …ForSequenceClassification: read from a
 * folder of such a class, or made of a model without one, as AutoModelForSequenceClassification.from_pretrained makes
 * it.
 *
 *     a decoder    z = S·n(h_last)      S: [labels][C], "score", without bias; n: the final norm; h_last: the state of
 *                                       the text's last token
 *     an encoder   its table's rows WEIGHT_OF_CLASSIFIER and its own forward (struct arch, classify), on the state of
 *                                       the text's first token, or on the mean of all
 *
 * The head of tokens stands aside: it is no weight of such a model. m->labels says what the outputs are. */
#ifndef MODEL_CLASSIFIER_H
#define MODEL_CLASSIFIER_H

#include "model/labels.h"
#include "model/model.h"

/* transformers' class of the model that classifies, new; NULL: it has none. */
char *classifier_class(const struct model *m);
/* Of a config.json that is open: config.labels, before weights are listed. */
int classifier_read(struct model *m, const char *where, struct err *e);
/* m->labels, once weights are listed: whether they are a classifier's, whole. */
int classifier_open(struct model *m, const char *where, struct err *e);

/* Makes of an open model, over which nothing lies yet and which is not prepared, one that classifies by these labels:
 * what it has of such a head stays, but for what the labels come out of, which is of these labels alone. Of what it has
 * not matrices begin as normal numbers of 0.02, as transformers' do (a last one of 0 passes nothing down at first, and
 * an encoder trained whole learns much slower), norms as 1, biases as 0. What belongs to a head of another kind goes.
 * Nothing changes where the labels are its own already. −1: there is no such model. */
int classifier_make(struct model *m, const struct labels *l, uint64_t seed, struct err *e);

/* Whether any of it is made so, and its labels are not those of its file. */
bool classifier_made(const struct model *m);
/* Whether the weight is the head's own, which an adapter saves whole whatever else it does (PEFT: "score",
 * "classifier", and what the model's files were without). */
bool classifier_owns(const struct weight *w);

#endif
