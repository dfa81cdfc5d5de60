/* models: several models behind one address, each with names of its own: which of them a call means, and what they
 * tell together. A request means the model whose name, or whose adapter's, its `model` is (Ollama's NAME:latest is
 * NAME); one that names none, or none that is here, is the first's, as are calls about no model.
 *
 * The engine's thread says which models there are while http's answers. */
#ifndef SERVE_MODELS_H
#define SERVE_MODELS_H

#include "serve/openai.h"

enum { MODELS_MOST = 64 };

struct models;
struct models *models_new(void);
void models_free(struct models *m);
/* These from now on, 1 to MODELS_MOST. Who is no longer among them may be freed once models_idle has said so and it has
 * no answer (openai_asked) and no task. */
void models_set(struct models *m, struct openai *const *list, size_t n);
/* Is no call being read now? Who was left out before is in none then. */
bool models_idle(struct models *m);

/* --- any thread --- */

bool models_admit(void *models, const struct http_request *q, struct http_reply *r);
void models_answer(void *models, const struct http_request *q, struct http_reply *r);
/* All of them, in a call of one alone; how many. */
size_t models_list(struct models *m, struct openai *out[MODELS_MOST]);
char *models_untagged(const char *name); /* NAME of Ollama's NAME:latest, mem_free; NULL: it has no such tag */

#endif
