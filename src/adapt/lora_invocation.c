/* lora_invocation: activated LoRA (Greenewald et al. 2025), which acts only from the last place on where its
 * invocation's tokens stand, those included. What comes before has the base's keys and values, so that one beginning
 * that was read once serves the base and every such adapter.
 *
 * A text without the invocation is the base's. In a text that is trained on or scored, the last place counts, as in
 * PEFT, also where it is in the answer; in a session it is the last of a prompt, whatever the answer says. The mask is
 * overlay.invocation's (model/graph.h, nn_served); here is what PEFT's alora_invocation_tokens is made of and how it is
 * read. */
#include <string.h>

#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "base/utf8.h"
#include "token/tokenizer.h"

static const char KEY[] = "alora_invocation_tokens", OPTION[] = "alora-invocation-tokens";

/* Cut into tokens as it would be alone; new, NULL with a sentence. */
static json_t *tokens_of(const struct model *m, const char *text, struct err *e)
{
	struct tokens ids = { 0 };
	json_t *list = json_array();

	if (!utf8_valid(text, strlen(text), NULL))
		err_set(e, "--%s: not UTF-8", OPTION);
	else if (!m->tokenizer)
		err_set(e, "--%s: the model's tokenizer is not open", OPTION);
	else if (tokenizer_encode(m->tokenizer, text, strlen(text), TOKENIZE_SPECIAL, &ids, e) == 0 && ids.n == 0)
		err_set(e, "--%s: the text has no token", OPTION);
	for (size_t i = 0; i < ids.n; i++)
		json_array_append_new(list, json_integer(ids.id[i]));
	tokens_release(&ids);
	if (json_array_size(list))
		return list;
	json_decref(list);
	return NULL;
}

int lora_invocation_put(json_t *config, const struct model *m, const char *text, struct err *e)
{
	bool numbers = *text && !text[strspn(text, "0123456789, ")];
	json_t *list = numbers ? token_rows_list(text, OPTION, e) : tokens_of(m, text, e);

	if (!list)
		return -1;
	json_object_set_new(config, KEY, list);
	return 0;
}

int lora_invocation_read(struct adapter *a, const struct model *m, struct err *e)
{
	const json_t *list = json_object_get(a->config, KEY), *each;
	size_t n = json_array_size(list), i;
	int32_t *ids = arena_array(&a->mem, n, sizeof(*ids));

	if (!list || peft_empty(list))
		return 0;
	if (!n)
		return peft_refuse(KEY, list, e);
	if (m->config.arch->encoder)
		return err_set(e, "%s: of an encoder every token sees those after it, so nothing stays the base's",
		               KEY);
	json_array_foreach(list, i, each) {
		json_int_t id = json_is_integer(each) ? json_integer_value(each) : -1;
		if (id < 0 || id >= m->config.V)
			return err_set(e, "%s: its entry %zu is no token of this model, 0 to %d", KEY, i,
			               m->config.V - 1);
		ids[i] = (int32_t)id;
	}
	a->overlay.invocation = (struct invocation){ ids, (int32_t)n };
	return 0;
}
