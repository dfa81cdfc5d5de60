/* serve_adapted: what `kungfu adapt` left, for the server: an instruction and examples before each question, documents,
 * labels instead of texts, alone or first. A model under an adapter it is as for every command (model_common.h). */
#ifndef CMD_SERVE_ADAPTED_H
#define CMD_SERVE_ADAPTED_H

#include "cmd/index/sources_options.h"
#include "data/fewshot.h"
#include "ladder/adapted.h"
#include "ladder/sayer.h"

struct serve_adapted {
	struct adapted a;
	bool open;                     /* it is what adapt left */
	const char *model;             /* to be opened: the path, or of labels alone the base */
	json_t *saved, *kept_documents;
	struct fewshot *before;        /* or NULL */
	bool raw;                      /* see openai_options */
	struct sayer sayer;
	bool says, labels_alone;
};

/* Its documents into o, where it has some. The device is borrowed. Closed by the caller, after an error too. */
int serve_adapted_open(struct serve_adapted *x, const char *path, struct sources_options *o, struct device *d,
                       struct err *e);
/* Once it is known whether the model has a chat template. */
int serve_adapted_before(struct serve_adapted *x, bool template_, struct err *e);
void serve_adapted_close(struct serve_adapted *x);

#endif
