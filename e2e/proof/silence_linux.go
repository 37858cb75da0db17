package proof

func silences() []scenario { return nil }
