/* openai_cost: what a request may cost at most, what it did, whose it is. Of the files openai*.c. */
#ifndef SERVE_OPENAI_COST_H
#define SERVE_OPENAI_COST_H

#include "serve/http.h"
#include "serve/keys.h"

struct ask;
struct gas;
struct meter_span;
struct openai;

/* What is held of a key's budgets until it is charged or given up. */
struct charge {
	struct holder *holder;
	struct key_cost most;
	bool open;
};

/* What a request may cost at most is held; false and a refusal: a budget of its key has no room. Then it is charged
 * with what it took, or given up, which may be told at any time. */
bool ask_hold(struct ask *a, struct http_reply *r);
bool tokens_hold(struct openai *s, struct charge *c, size_t tokens, struct http_reply *r);
void ask_charge(struct ask *a);
void tokens_charge(struct openai *s, struct charge *c, const char *model, size_t tokens, const struct gas *g);
void charge_release(struct openai *s, struct charge *c);
/* Of work in parts: what one took is added. */
void part_open(struct openai *s, struct meter_span *span);
void part_read(struct openai *s, struct meter_span *span, struct gas *sum);

/* An answer to a prompt, the first to it or another, adds to what the request would have taken alone; as a->whole
 * prices it. */
void ask_alone_add(struct ask *a, size_t prompt, size_t made, bool first);
json_t *ask_alone_json(const struct ask *a);

/* May its key be told the log-probabilities that it asks for? false and a refusal. */
bool ask_logprobs_allowed(const struct ask *a, struct http_reply *r);

#endif
