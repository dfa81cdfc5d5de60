/* openai_said: answers that are labels, where what is served says some (ladder/sayer.h): alone, as a learner that
 * `kungfu adapt` left, or first, as the cheap way of a cascade, which leaves to the model what it is not sure of. A
 * question is one text: a conversation of one user's turn, or the prompt of a completion. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/mem.h"

#define refuse(r, key, ...) (openai_error(r, 400, "unsupported_value", key, __VA_ARGS__), -1)

static int read_text(struct ask *a, const json_t *one, size_t i, struct http_reply *r)
{
	if (!json_is_string(one))
		return refuse(r, "prompt", "A label answers here, and is said of a text: 'prompt' is a text or texts");
	a->questions[i] = mem_strndup(json_string_value(one), json_string_length(one));
	return 0;
}

/* Nothing of how tokens are drawn is of a label. */
static int check_wishes(const struct ask *a, struct http_reply *r)
{
	const bool alone = a->s->o.labels_alone;

	if (a->grammar)
		return refuse(r, a->call_form ? "tools" : "response_format",
		              "What answers here may say a label, whatever form is asked for");
	if (a->echo || (alone && a->logprobs))
		return refuse(r, a->echo ? "echo" : "logprobs",
		              "A label answers here, which has no tokens: '%s' is of a model that writes",
		              a->echo ? "echo" : "logprobs");
	return 0;
}

int ask_said_read(struct ask *a, const json_t *sent, struct http_reply *r)
{
	const json_t *prompt = json_object_get(sent, "prompt"), *messages = json_object_get(sent, "messages");

	if (!a->s->o.sayer)
		return 0;
	if (check_wishes(a, r) < 0)
		return -1;
	a->questions = mem_array(a->n_prompts, sizeof(*a->questions));
	for (size_t i = 0; !a->chat && i < a->n_prompts; i++)
		if (read_text(a, json_is_array(prompt) ? json_array_get(prompt, i) : prompt, i, r) < 0)
			return -1;
	if (a->chat)
		a->questions[0] = conversation_question(messages);
	if (a->chat && !a->questions[0] && a->s->o.labels_alone)
		return refuse(r, "messages", "A label answers here: what it is said of is one user's turn, a text");
	return 0;
}

/* --- in the engine --- */

static void tell(struct choice *c, const char *label)
{
	struct ask *a = c->ask;

	c->finish = "stop";
	ask_emit(c, label, strlen(label));
	choice_end(c);
	if (a->stream)
		a->form->done(c);
	a->n_done++;
}

int ask_say(struct ask *a, struct err *e)
{
	struct sayer *s = a->s->o.sayer;
	size_t each = a->n_choices / a->n_prompts;
	int32_t *label = mem_array(a->n_prompts, sizeof(*label));
	double sure;
	int status = 0;

	for (size_t i = 0; i < a->n_prompts && status == 0; i++) {
		label[i] = -1;
		if (s && a->questions[i])
			status = sayer_say(s, a->questions[i], strlen(a->questions[i]), &label[i], &sure, NULL, e);
	}
	for (size_t k = 0; k < a->n_choices && status == 0; k++)
		if (label[k / each] >= 0) {
			ask_begin(a);
			tell(&a->choices[k], s->way[0].learner.labels.name[label[k / each]]);
		}
	mem_free(label);
	return status < 0 ? -1 : a->n_done == a->n_choices;
}
