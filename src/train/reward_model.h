/* reward_model: what answers are worth by a model with one output (objective regression or reward, or any
 * …ForSequenceClassification with one label).
 *
 * It reads prompt and answer as a conversation where it has a chat template, as transformers' reward models are asked;
 * an encoder without one as a pair of texts, another model as two lines. Or as a form with {prompt} and {answer} has
 * it. */
#ifndef TRAIN_REWARD_MODEL_H
#define TRAIN_REWARD_MODEL_H

#include "model/overlay.h"
#include "op/device.h"
#include "template/template.h"

/* A model that is open, as it reads; all borrowed. */
struct reward_reader {
	struct model *model;           /* with its tokenizer, prepared */
	const struct overlay *overlay; /* or NULL */
	const struct template *chat;   /* or NULL */
	struct device *device;
	const char *form;              /* or NULL */
};
/* −1: it has no head with one output; path names it. */
int reward_reader_check(const struct reward_reader *r, const char *path, struct err *e);
/* tick: after each micro-batch; other than 0 ends it; or NULL. */
int reward_read(const struct reward_reader *r, const char *const *prompts, const char *const *answers, size_t n,
                int (*tick)(void *ctx, size_t done, size_t total), double *out, struct err *e);
/* Of an option --reward-template; NULL: it is fine. */
const char *reward_form_contradiction(const char *model, const char *form);
/* The model under an adapter's folder; NULL: it is a model itself. mem_free. */
char *reward_model_base(const char *path);

/* One that is opened by its path. */
struct reward_options;
struct reward_model;
int reward_model_open(struct reward_model **out, const struct reward_options *o, struct device *d, struct err *e);
void reward_model_close(struct reward_model *m);
size_t reward_model_bytes(const struct reward_model *m); /* of its weights */
const struct reward_reader *reward_model_reader(const struct reward_model *m);

#endif
