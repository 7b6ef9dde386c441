"""Google's dialect: `generateContent` and its kin. Source: Gemini API reference, "Generating content"."""
