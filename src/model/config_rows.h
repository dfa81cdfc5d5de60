/* config_rows: the rows of an architecture's tables one after the other; for the files config*.c alone. */
#ifndef MODEL_CONFIG_ROWS_H
#define MODEL_CONFIG_ROWS_H

#include "model/config.h"

/* Row by row, each in the place where its key comes first and as the last table has it; NULL at the end. */
struct config_walk {
	const struct config_field *const *tables;  /* arch->fields */
	size_t table, row;
};
const struct config_field *config_next(struct config_walk *w);
/* Where a row's value is. */
void *config_place(const struct config *c, const struct config_field *f);
json_t *config_value_json(const struct config *c, const struct config_field *f); /* new reference */
json_t *config_first_word(const char *words);   /* of a row that is computed in one way, new reference */

#endif
