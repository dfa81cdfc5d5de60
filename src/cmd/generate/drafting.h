/* drafting: tokens guessed ahead of answers, as options that generate, chat and serve share (infer/speculate.h). */
#ifndef CMD_DRAFTING_H
#define CMD_DRAFTING_H

#include "cmd/model_common.h"
#include "infer/speculate.h"

struct draft_options { const char *model; int64_t most; };

#define DRAFT_OPTS(s, f) \
	OPT_GROUP("Guesses ahead, which change no answer"), \
		OPT_INT("draft-max", s, f.most, "0", 0, DRAFT_MOST, \
	                "tokens guessed at once, from the text where no model does; 0: none"), \
		OPT_STRING("model-draft", s, f.model, NULL, "MODEL", \
	                   "a smaller model of the same tokens that guesses, 8 at once")

struct drafting {
	struct loaded l;               /* of the draft model */
	struct session *session;
	struct drafter *drafter;       /* NULL: nothing is guessed */
};

int drafting_most(const struct draft_options *o);      /* guesses at once, 0: none */
/* For answers in a session of this model and size. */
int drafting_open(struct drafting *d, struct app *app, const struct draft_options *o, const struct model *m,
                  const struct session_size *size, struct err *e);
/* Bytes of the draft model and its session, when it is full. */
size_t drafting_bytes(const struct drafting *d);
/* "; 12 of 40 guessed tokens were right", "" where none was made; into out. */
const char *drafting_text(size_t guessed, size_t right, char out[80]);
void drafting_close(struct drafting *d);

#endif
