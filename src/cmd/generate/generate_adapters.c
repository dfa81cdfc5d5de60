/* generate_adapters: --adapter PATH for all answers, or several times NAME=PATH, and each row of prompts names its own
 * in "adapter" (none: the model as it is). All of them are in one batch then, so the model's weights are read once for
 * their answers. */
#include "cmd/generate/generate_parts.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"

/* A path may have a '='; a name has no '/'. */
static size_t name_length(const char *text)
{
	size_t n = strcspn(text, "=/");
	return text[n] == '=' && n && !io_exists(text) ? n : 0;
}

int generate_adapters(struct named_adapters *a, const struct opt_list *list, struct err *e)
{
	a->n = list->n;
	a->names = mem_array(list->n, sizeof(*a->names));
	a->paths = mem_array(list->n, sizeof(*a->paths));
	for (size_t i = 0; i < list->n; i++) {
		size_t n = name_length(list->items[i]);
		a->names[i] = n ? mem_strndup(list->items[i], n) : NULL;
		a->paths[i] = list->items[i] + n + (n > 0);
		a->named |= n > 0;
	}
	for (size_t i = 0; i < list->n; i++) {
		if (list->n > 1 && !a->names[i])
			return err_set(e, "--adapter %s: of several each has a name, as --adapter NAME=%s",
			               list->items[i], list->items[i]);
		if (a->named && generate_adapter_of(a, a->names[i]) != (int)i)
			return err_set(e, "--adapter %s: the name is there twice", list->items[i]);
	}
	return 0;
}

int generate_adapter_of(const struct named_adapters *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->names[i] && !strcmp(a->names[i], name))
			return (int)i;
	return -1;
}

int generate_row_adapter(const struct named_adapters *a, const struct row *r, int *which, struct err *e)
{
	const json_t *name = json_object_get(r->json, "adapter");

	*which = a->named ? -1 : 0;
	if (!name || json_is_null(name))
		return 0;
	if (!json_is_string(name))
		return err_set(e, "%s:%zu: \"adapter\" is no text; the name of an --adapter NAME=PATH was wanted",
		               r->file, r->line);
	*which = generate_adapter_of(a, json_string_value(name));
	return *which >= 0 ? 0 :
	                     err_set(e, "%s:%zu: it names the adapter '%.80s', and there is no --adapter %.80s=PATH",
	                             r->file, r->line, json_string_value(name), json_string_value(name));
}

void named_adapters_release(struct named_adapters *a)
{
	for (size_t i = 0; i < a->n; i++)
		mem_free(a->names[i]);
	mem_free(a->names);
	mem_free(a->paths);
}
