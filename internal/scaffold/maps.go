package scaffold

import (
	"fmt"
	"slices"
	"strings"
)

// guessMaps lists what is called otherwise on green, or has to be.
func (p *Proposal) guessMaps() {
	if p.survey.OneCluster {
		m := mapGuess{section: "namespaces", comment: "blue and green are one cluster: each namespace needs another name on green"}
		for _, ns := range p.survey.Namespaces {
			m.entries = append(m.entries, [2]string{ns.Name, fmt.Sprintf("%.57s-green", ns.Name)})
		}
		p.maps = append(p.maps, m)
	}
	for _, kind := range []string{"StorageClass", "IngressClass", "PriorityClass", "RuntimeClass"} {
		var lacking []string
		for _, class := range p.classesUsed(kind) {
			if class != "" && !strings.HasPrefix(class, "system-") && !p.survey.Green.has(kind, class) {
				lacking = append(lacking, class)
			}
		}
		if len(lacking) == 0 {
			continue
		}
		m := mapGuess{section: strings.ToLower(kind[:1]) + kind[1:] + "es", comment: "green has no " + kind + " of these names"}
		for _, class := range lacking {
			m.entries = append(m.entries, [2]string{class, mark("one that green has: %s", p.greenClasses(kind))})
		}
		p.maps = append(p.maps, m)
	}
	p.guessRegistries()
}

func (p *Proposal) greenClasses(kind string) string {
	var names []string
	for _, c := range p.survey.Green.Classes[kind] {
		if c.Default {
			c.Name += " (the default)"
		}
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return "none was seen, so make one first"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// classesUsed are the classes of a kind that blue's objects name.
func (p *Proposal) classesUsed(kind string) []string {
	used := map[string]bool{}
	for _, ns := range p.survey.Namespaces {
		switch kind {
		case "StorageClass":
			for _, class := range ns.Claims {
				used[class] = true
			}
		case "IngressClass":
			for _, ing := range ns.Ingresses {
				used[ing.Class] = true
			}
		}
		for _, w := range ns.Workloads {
			switch kind {
			case "StorageClass":
				for _, class := range w.Templates {
					used[class] = true
				}
			case "PriorityClass":
				used[w.PriorityClass] = true
			case "RuntimeClass":
				used[w.RuntimeClass] = true
			}
		}
	}
	return sorted(used)
}

// publicRegistries can be reached from anywhere: green pulls from them as blue does.
func publicRegistries() []string {
	return []string{"docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "k8s.gcr.io", "gcr.io", "public.ecr.aws", "mcr.microsoft.com", "registry.gitlab.com", "nvcr.io", "cgr.dev"}
}

func (p *Proposal) guessRegistries() {
	found := map[string]bool{}
	for _, ns := range p.survey.Namespaces {
		for _, w := range ns.Workloads {
			for _, c := range w.Containers {
				found[registryOf(c.Image)] = true
			}
		}
	}
	m := mapGuess{section: "registries", comment: "images come from these; images are not copied"}
	var public []string
	for _, name := range sorted(found) {
		if slices.Contains(publicRegistries(), name) {
			public = append(public, name)
			continue
		}
		m.entries = append(m.entries, [2]string{name, mark("where green pulls these images from: %s itself, if green reaches it, or another registry that has them", name)})
	}
	if len(public) > 0 {
		m.comment += " (and from " + strings.Join(public, ", ") + ", which keep their names)"
	}
	if len(m.entries) > 0 && !p.survey.OneCluster {
		p.maps = append(p.maps, m)
	}
}

// registryOf is the registry of an image's name, as a container runtime reads it.
func registryOf(image string) string {
	first, _, more := strings.Cut(image, "/")
	if !more || (!strings.ContainsAny(first, ".:") && first != "localhost") {
		return "docker.io"
	}
	return first
}

// note collects what a person should know before the first run.
func (p *Proposal) note() {
	for _, side := range []struct {
		name string
		Side
	}{{"blue", p.survey.Blue}, {"green", p.survey.Green}} {
		if len(side.DNSControllers) > 0 && (!p.survey.OneCluster || side.name == "blue") {
			p.notes = append(p.notes, fmt.Sprintf("%s writes DNS records by itself (%s): stop it for the hostnames below while they move, or it will put them back", side.name, strings.Join(side.DNSControllers, ", ")))
		}
	}
	if p.survey.OneCluster {
		p.notes = append(p.notes, "blue and green are one cluster: each hostname needs two entries with addresses of their own")
	}
	for _, ns := range p.survey.Namespaces {
		if apps := p.appsIn(ns.Name); apps == 1 && len(ns.Workloads) > 1 {
			p.notes = append(p.notes, fmt.Sprintf("the workloads of namespace %s have no label in common that tells applications apart: they are one application. To split it, label them, or write selectors by hand", ns.Name))
		}
	}
	if len(p.survey.PassedOver) > 0 {
		p.notes = append(p.notes, "passed over, as the platform's own: "+strings.Join(p.survey.PassedOver, ", ")+"; --namespace takes them in")
	}
}

func (p *Proposal) appsIn(namespace string) int {
	n := 0
	for _, a := range p.apps {
		if a.namespace == namespace {
			n++
		}
	}
	return n
}
