"""One run on several machines without a scheduler: how they find each other, and what one does when another is lost."""
