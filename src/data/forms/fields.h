/* fields: what tools have in common where whoever sets them up names fields and questions: which field is the prompt,
 * which are answers, and what a value given to a question means.
 *
 * The prompt is the first of prompt, instruction, question, query, chat, messages, conversation, input, text. Answers
 * are texts whose names begin with response, answer, completion, generation, output, chosen, rejected, reply, summary,
 * candidate, option, model, text or result; where none does, all other texts.
 *
 *     a list of answers' names     a ranking, the best first ({value, rank} says the place)
 *     an answer's name             it wins; of a question corrected: it is the one that was
 *     tie, both bad                no winner
 *     a number                     a rating, of the answer whose number is in the question's name, or of the only one
 *     a text                       by the question's name: a comment, a correction, unsafe or both bad (yes); else a
 *                                  class; a second class is kept in the comment */
#ifndef DATA_FORMS_FIELDS_H
#define DATA_FORMS_FIELDS_H

#include "data/forms/form.h"

struct field_names {
	const char *prompt;                         /* the key */
	const char *answers[FEEDBACK_ANSWERS];
	int n;
};

/* Prompt and answers of an object, into the item. */
int fields_read(struct form_reader *r, const json_t *fields, struct feedback_item *it, struct field_names *names,
                struct err *e);
/* One answer to a question; about: the field that it is of, or NULL. */
int fields_judge(struct form_reader *r, const struct field_names *names, const char *question, const char *about,
                 const json_t *value, struct feedback_label *l, struct err *e);
bool fields_is_prompt(const char *key);

#endif
