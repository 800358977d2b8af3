mod consent;
