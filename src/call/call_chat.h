/* call_chat: how a model is told of tools, and in which form it calls them, by its chat template.
 *
 * A template takes a list of tools as the variable `tools` (transformers'), as `xml_tools` (SmolLM3's), or as JSON text
 * beside the system's content (Phi-4-mini's): what changes what it writes is how. Of one that takes none the tools are
 * described in the system's message (the first user's, where it takes no system), earlier calls stand in the content
 * of who called, and what tools gave is said by the user: the form is `generic`. A template that takes tools and whose
 * form is not known has no form. */
#ifndef CALL_CALL_CHAT_H
#define CALL_CALL_CHAT_H

#include "call/form.h"
#include "data/chat.h"

enum call_way { CALL_VARIABLE, CALL_XML_TOOLS, CALL_SYSTEM_TOOLS, CALL_DESCRIBED };

struct call_chat {
	enum call_way way;
	const struct call_form *form; /* NULL: it is not known */
	bool thoughts;                /* the template has its thoughts too */
};

/* The codec has a template. */
void call_chat_of(struct call_chat *c, const struct text_codec *codec);
/* A conversation that has tools, as the template takes them. Before chat_fit. */
void call_chat_fit(const struct call_chat *c, const struct text_codec *codec, struct conversation *x);
/* Does the prompt end where a thought has begun? */
bool call_chat_thinks(const struct call_chat *c, const char *prompt, size_t n);

#endif
